"""Data files that operators edit, with the last good one in force while the newest is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from airflow_oncall.errors import BadDataFile
from airflow_oncall.store.keep import GoodFiles

log = logging.getLogger(__name__)
Parsed = TypeVar("Parsed")


class OperatorFiles:
    """Reads a data file from the first of ``folders`` that has it (the operator's before the shipped one).

    Without ``good`` nothing is remembered, and a wrong file falls back to the shipped one.
    """

    def __init__(self, folders: Iterable[Path], good: GoodFiles | None = None) -> None:
        self._folders, self._good = list(folders), good

    def find(self, name: str) -> Path | None:
        """The file or folder that is in force."""
        return next((folder / name for folder in self._folders if (folder / name).exists()), None)

    def names(self, folder: str, ending: str) -> list[str]:
        """Names (``folder/file``) of all files in this subfolder, wherever they stand, in alphabetical order."""
        found = {path.name for parent in self._folders for path in (parent / folder).glob(f"*{ending}")}
        return [f"{folder}/{name}" for name in sorted(found)]

    def read(self, name: str, parse: Callable[[str, str], Parsed]) -> Parsed:
        """``parse(file name, text)`` of the newest good version.

        A wrong file is logged with file, line and field, and the version before it stays in force. Raises
        ``BadDataFile`` only when there never was a good one, not even a shipped one.
        """
        path = self.find(name)
        if path is None:
            raise BadDataFile(name, f"not found in {', '.join(map(str, self._folders))}; reinstall, or set [oncall] include_path")
        try:
            text = path.read_text(encoding="utf-8")
            parsed = parse(str(path), text)
        except (BadDataFile, OSError, UnicodeDecodeError) as error:
            return self._last_good(name, parse, error)
        if self._good:
            self._good.set(name, text)
        return parsed

    def _last_good(self, name: str, parse: Callable[[str, str], Parsed], error: Exception) -> Parsed:
        kept = self._good.get(name) if self._good else None
        if kept is not None:
            log.error("%s. The last good version stays in force.", error)
            return parse(f"last good {name}", kept)
        # A wheel and an install from folders ship it at different places, of which one is there.
        shipped = next((path for folder in self._folders if (path := folder / name).is_file() and path != self.find(name)), None)
        if shipped is not None:
            log.error("%s. The shipped %s is in force.", error, name)
            return parse(str(shipped), shipped.read_text(encoding="utf-8"))
        raise error if isinstance(error, BadDataFile) else BadDataFile(name, str(error))
