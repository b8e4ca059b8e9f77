"""Indexes by which likeness is found: one of the entries, one of the incidents that ended, kept as files beside the models.

A file is only a copy of what was read: one that is lost, broken or of another format is made anew, a piece at each look.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_oncall.knowledge.entry import BadEntry, read_entry
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.similar import SimilarTexts

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

FOLDER = "knowledge"
SOURCE = "knowledge index"
"""Cursor: the name by which the store knows its own indexes."""
AT_ONCE = 200
"""Texts read between two looks at the clock."""
_Piece = tuple[int, dict[str, str]]
"""How far the source was read, and new texts by name."""


class Index:
    """Texts that are read from the store as they come, and looked for by likeness."""

    def __init__(self, store: Store, root: Path | ObjectStoragePath, name: str) -> None:
        self._store, self._root, self._file = store, root, f"{name}.npz"
        self._texts: SimilarTexts | None = None

    @property
    def texts(self) -> SimilarTexts:
        """What was read so far."""
        if self._texts is None:
            self._texts = self._loaded()
        return self._texts

    def refresh(self, seconds: float) -> None:
        """Read what is new, for about so many seconds; the rest is read the next time."""
        ends, before = time.monotonic() + seconds, self.texts.position
        for position, texts in self._news(before):
            if texts:
                self.texts.put(texts)
            self.texts.position = position
            if time.monotonic() > ends:
                break
        if self.texts.position != before:
            self._save()

    def _name_of_store(self) -> str:
        """Another store may count from the same numbers on: its index is none of ours."""
        name = self._store.cursors.get(SOURCE)
        if name is None:
            name = secrets.token_hex(8)
            self._store.cursors.set(SOURCE, name)
        return str(name)

    def _news(self, after: int) -> Iterator[_Piece]:
        raise NotImplementedError

    def _loaded(self) -> SimilarTexts:
        path = self._root / FOLDER / self._file
        try:
            found = SimilarTexts.load(path.read_bytes()) if path.exists() else SimilarTexts()
        except (OSError, ValueError) as error:
            log.warning("%s is made anew: %s", path, error)
            return SimilarTexts()
        return found if found.source == self._store.cursors.get(SOURCE) else SimilarTexts()

    def _save(self) -> None:
        from airflow_oncall.learn.files import write

        self.texts.source = self._name_of_store()
        try:
            write(self._root, FOLDER, {self._file: self.texts.dump()})
        except OSError as error:  # e.g. a disk that is full: what was read is read again by the next process
            log.warning("the index %s is not kept: %s", self._file, error)


class EntryIndex(Index):
    """Entries by name, confirmed or not."""

    def __init__(self, store: Store, root: Path | ObjectStoragePath) -> None:
        super().__init__(store, root, "entries")

    def _news(self, after: int) -> Iterator[_Piece]:
        while changes := self._store.knowledge.changes(after, AT_ONCE):
            after = changes[-1].id
            yield after, {one.name: _text(one.entry) for one in changes}


class IncidentIndex(Index):
    """Fingerprints of incidents whose end is known, each by the text of one of them."""

    def __init__(self, store: Store, root: Path | ObjectStoragePath) -> None:
        super().__init__(store, root, "incidents")

    def _news(self, after: int) -> Iterator[_Piece]:
        known = set(self.texts.names)
        while ended := self._store.knowledge.ended(after, AT_ONCE):
            after = ended[-1][0]
            fresh = {fingerprint: incident_id for _, incident_id, fingerprint in ended if fingerprint not in known}
            known |= set(fresh)
            texts = self._store.labels.texts(list(fresh.values()))
            yield after, {fingerprint: texts.get(incident_id, "") for fingerprint, incident_id in fresh.items()}


def _text(entry: object) -> str:
    if entry is None:
        return ""
    try:
        return read_entry(entry).text
    except BadEntry as error:  # e.g. of an action whose package was removed
        log.warning("a knowledge entry is left out: %s", error)
        return ""
