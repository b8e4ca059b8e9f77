"""What operators want masked beside the shipped patterns, or not masked: ``masking.yaml``, read where text is captured.

Looked at every few seconds at most. A wrong file never stops capture and never takes a mask away: the patterns of its
last good version and the good ones of the wrong version are in force together, and no word is exempt. So are they while
a file that lacks patterns may be half saved, and where no file names patterns any more. Text is not withheld
altogether, because failures without text look alike, and storms and repairs would be decided by that.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_oncall import conf
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile

log = logging.getLogger(__name__)

NAME = "masking.yaml"
LOOK_EVERY = 10.0
"""Seconds between two looks at the file."""
WAY_BACK = "put the file back, or write `patterns: []` into it to take its patterns out"
"""What to do where no file says ``patterns`` any more."""
LARGEST = 256 * 1024
"""Bytes of a file that is read; it is read inside other people's tasks."""
_MEMORY = 4 << 20
"""Bytes that one pattern may need."""
_GROUP = re.compile(r"\\(\d)")


class MaskingPattern(BaseModel):
    """One expression and what stands in place of what it finds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What `masking test` calls it."""
    pattern: Annotated[str, Field(min_length=1, max_length=1000)]
    """Regular expression as RE2 takes it, which reads any text in linear time; `(?i)` at its beginning ignores case."""
    replacement: Annotated[str, Field(max_length=200)] = "***"
    r"""What stands there then; `\1` is the first group of the pattern."""

    @field_validator("pattern")
    @classmethod
    def _is_fit(cls, pattern: str) -> str:
        import re2

        try:
            compiled = _compiled(pattern)
        except re2.error as error:
            said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            raise ValueError(f"RE2 does not take it: {said}; it knows no look-arounds and no back references") from error
        if compiled.search("") or compiled.fullmatch(" "):
            raise ValueError("it fits an empty text or a space; name what the secret looks like")
        return pattern

    @model_validator(mode="after")
    def _groups_exist(self) -> MaskingPattern:
        if max([0, *map(int, _GROUP.findall(self.replacement))]) > _compiled(self.pattern).groups:
            raise ValueError(f"the replacement {self.replacement!r} names a group that the pattern does not have")
        return self

    def put(self, found: Any) -> str:
        """What stands in place of a match."""
        # RE2's own templates know ASCII only.
        return _GROUP.sub(lambda group: found.group(int(group.group(1))) or "", self.replacement)


class MaskingFile(BaseModel):
    """``masking.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    patterns: Annotated[tuple[MaskingPattern, ...], Field(max_length=100)] = ()
    """Tried in this order, after the shipped ones."""
    never_masked: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=1000)] = ()
    """Words that say something about a failure and are no secret, e.g. `expired` in `token: expired`; whole values only."""


class Masking(NamedTuple):
    """What is in force."""

    patterns: tuple[tuple[str, Any, Callable[[Any], str]], ...] = ()
    """Name, compiled expression, and what stands in place of a match."""
    never_masked: frozenset[str] = frozenset()
    problem: str = ""
    """What is wrong with the newest version."""


class _InForce:
    """The file as this process knows it."""

    def __init__(self) -> None:
        self.masking = Masking()
        self.good: tuple[MaskingPattern, ...] | None = None
        """Patterns of the last good version; ``None`` where this process saw none."""
        self.looked = float("-inf")
        self.seen: tuple[object, ...] | None = None
        self.unsure = False
        """The version that was seen may be half saved, so it is read again."""


_known = _InForce()


def in_force() -> Masking:
    """The operator's masks; costs a look at the file every :data:`LOOK_EVERY` seconds, and reads it when it changed."""
    if time.monotonic() - _known.looked >= LOOK_EVERY:
        _known.looked = time.monotonic()
        _look()
    return _known.masking


def find() -> Path | None:
    """The file: the operator's before the shipped one."""
    return next((folder / NAME for folder in conf.include_paths() if os.path.lexists(folder / NAME)), None)


def read(path: Path) -> MaskingFile:
    """What the file says. Raises ``BadDataFile`` with its line and field."""
    return _parsed(path)[0]


def _parsed(path: Path) -> tuple[MaskingFile, str]:
    """What the file says, and the text that says it: read again, the file may be another by then."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataFile(path, f"cannot be read: {error}") from error
    if len(content) > LARGEST:
        raise BadDataFile(path, f"is larger than {LARGEST} bytes, and it is read inside other people's tasks")
    return parse(MaskingFile, str(path), text), text


def _look() -> None:
    path = find()
    seen = _seen(path)
    if seen == _known.seen and not _known.unsure:
        return
    whole = seen == _known.seen if _known.seen is not None else _is_old(path)
    _known.seen, _known.unsure = seen, False
    try:
        found, text = _parsed(path) if path else (MaskingFile(), "")
    except BadDataFile as error:
        log.error("%s. The last good version and the good patterns of this one are in force together.", error)
        _known.masking = _with_last_good(_good_ones(path), str(error))
        return
    if set(found.patterns).issuperset(_last_patterns()):
        _put_in_force(path, found, text)
    elif "patterns" not in found.model_fields_set:
        where = f"{path} does not say" if path else "no file says"
        problem = f"{NAME}: {where} `patterns` any more; those of the last good version stay in force"
        log.error("%s; %s.", problem, WAY_BACK)
        _known.masking = _with_last_good((), problem)
    elif whole and _seen(path) == seen:
        _put_in_force(path, found, text)
    else:  # an editor may be at it: what is left out counts once two looks saw the same file
        _known.masking, _known.unsure = _with_last_good(found.patterns), True


def _put_in_force(path: Path | None, found: MaskingFile, text: str) -> None:
    _known.masking, _known.good = Masking(_ready(found.patterns), frozenset(found.never_masked)), found.patterns
    if path and "patterns" in found.model_fields_set:
        _remember(path, text)


def _seen(path: Path | None) -> tuple[object, ...]:
    return (path, *_stamp(path)) if path else ()


def _is_old(path: Path | None) -> bool:
    """Whether nobody wrote the file since the time of a look: the first look of a process, which may last no longer, is then enough."""
    try:
        stat = path.stat() if path else None
    except OSError:
        return False
    # By the time of its last change, too, which nobody can set.
    return stat is not None and time.time() - max(stat.st_mtime, stat.st_ctime) >= LOOK_EVERY


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        stat = path.stat()
    except OSError as error:
        return (type(error).__name__,)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _ready(patterns: Iterable[MaskingPattern]) -> tuple[tuple[str, Any, Callable[[Any], str]], ...]:
    return tuple((one.name, _compiled(one.pattern), one.put) for one in patterns)


def _last_patterns() -> tuple[MaskingPattern, ...]:
    """The patterns that this process, or one on this host before it, took from the last good version."""
    return tuple(_good_ones(_last_good())) if _known.good is None else _known.good


def _with_last_good(patterns: Iterable[MaskingPattern], problem: str = "") -> Masking:
    """These patterns beside those of the last good version; no word is exempt."""
    return Masking(_ready(dict.fromkeys((*_last_patterns(), *patterns))), problem=problem)


def _good_ones(path: Path | None) -> Iterator[MaskingPattern]:
    try:
        data = yaml.safe_load(path.read_bytes()[:LARGEST]) if path else None
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return
    items = data.get("patterns") if isinstance(data, dict) else None
    for item in items[:100] if isinstance(items, list) else ():
        try:
            yield MaskingPattern.model_validate(item)
        except ValidationError:
            continue  # told already, with its line


def _last_good() -> Path:
    return conf.airflow_home() / "oncall" / f"{NAME}.good"


def _remember(path: Path, text: str) -> None:
    """Keep what the file said for processes on this host that begin when it is wrong."""
    kept, content = _last_good(), text.encode()
    try:
        if kept.is_file() and kept.read_bytes() == content:
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(kept)
    except OSError as error:  # a disk that is full or read-only: the next process does without the copy
        log.info("%s is not kept as the last good version: %s", path, error)


def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    return re2.compile(pattern, options)
