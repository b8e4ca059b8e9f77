"""Finding the lines that are trouble in blocks of many lines.

Both engines see whole blocks; only a line that they stopped at is looked at alone, to tell which signature it was. That second look
also makes the engines agree: what only seemed to match because it reached over the end of a line is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from airflow_oncall.capture.logs.signatures import Signature, line_options
from airflow_oncall.capture.logs.source import SourceFailed

Engine = Literal["re2", "fast"]
Block = bytes | bytearray
Ends = Callable[[Block, int, int], Iterator[int]]

_NAMED = 16 * 1024
"""Bytes of a line that are looked at before and behind the place where an engine stopped."""
_QUIET = re.compile(
    rb"(?:(?!ERROR|CRITICAL|FATAL|PANIC|SEVERE)[^\n\"'])"
    rb"{0,120}?(?:(?:^|[\]}|\d] ?|- |\bF )(?:DEBUG\d?|TRACE|NOTICE)(?:[ :\]])|NOTICE:  )"
)
"""Levels at which nobody reports trouble."""

_LEVEL = re.compile(
    rb"(?:^|[\]}| -])(INFO|LOG|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE|PANIC)(?=[ :\]|-])"
    rb"|\"level\": ?\"(info|warning|error|critical|fatal|severe|panic)\""
)
_BY_THE_WAY = frozenset({b"INFO", b"LOG"})
"""Levels of a program that goes on; LOG is PostgreSQL's."""
_SAYS_LEVEL = re.compile(rb"INFO|WARNING|LOG: |\"info\"|\"warning\"")
_CAPTURED = re.compile(rb"task\.std(?:out|err)|logging_mixin\.py|[Ss]ubprocess|python_virtualenv|std(?:out|err) [FP] ")
"""Lines that one program took from another: the first level is that of all of them and tells nothing."""
_FOLLOWS = re.compile(rb"\n\S")


def levels(line: bytes) -> list[bytes]:
    """The levels that a line names, in capitals and in their order; those of JSON too."""
    return [(one[1] or one[2]).upper() for one in _LEVEL.finditer(line)]


def _is_mentioned(line: bytes, is_last: bool) -> bool:
    """Whether the program that wrote the line gave it a level at which it goes on; where it warns, it must have written more."""
    if not _SAYS_LEVEL.search(line):
        return False
    found = levels(line)
    if found and _CAPTURED.search(line):
        del found[0]
    return bool(found) and (found[-1] in _BY_THE_WAY or (found[-1] == b"WARNING" and not is_last))


def _is_quiet(line: bytes) -> bool:
    return (b"DEBUG" in line or b"NOTICE" in line or b"TRACE" in line) and bool(_QUIET.match(line))


class Hit(NamedTuple):
    """A line that is trouble: where it stands in its block, without its end of line, and what it is."""

    start: int
    end: int
    signature: Signature
    at: int
    """Where in it the engine stopped."""


class Scanner:
    """Signatures, made ready once. ``fast`` needs the extra ``fast`` (hyperscan) and finds the same lines as ``re2``."""

    def __init__(self, signatures: Sequence[Signature], engine: Engine = "re2") -> None:
        if not signatures:
            raise SourceFailed("there are no signatures: put some into include/oncall/signatures, or reinstall the shipped ones")
        # What names a record best is looked for first: a generic signature counts only where no other matches the line.
        self.signatures = tuple(sorted(signatures, key=lambda one: one.generic))
        self._set = _set([one.pattern for one in self.signatures])
        patterns = [one.pattern for one in self.signatures]
        self._ends = _fast(patterns) if engine == "fast" else _re2(patterns)

    def hits(self, block: Block, start: int = 0, end: int | None = None, read: int | None = None) -> Iterator[Hit]:
        """Hits between ``start`` and ``end``, which are ends of lines, in their order, one a line.

        What stands between ``end`` and ``read`` only tells that a program wrote more.
        """
        # All at once: what runs between two searches pushes the engine's automaton out of the processor's cache, and the other way round.
        end = len(block) if end is None else end
        read = end if read is None else read
        for line_start, line_end, at in list(self._stops(block, start, end)):
            is_last = not _FOLLOWS.search(block, line_end, read)
            signature = self.name(bytes(block[max(line_start, at - _NAMED) : min(line_end, at + _NAMED)]), is_last)
            if signature:
                yield Hit(line_start, line_end, signature, at)

    def lines(self, block: Block, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
        """Bounds of the lines that an engine stopped at, before the second look."""
        return ((first, last) for first, last, _ in self._stops(block, start, len(block) if end is None else end))

    def name(self, line: bytes, is_last: bool = False) -> Signature | None:
        """The signature that names this line best, ``None`` if it is no trouble. ``is_last``: its program wrote nothing more."""
        places = self._set.Match(line)
        if not places or _is_quiet(line):
            return None
        ordered: list[int] = sorted(places)
        best = self.signatures[ordered[0]]
        if not best.mentioned or not _is_mentioned(line, is_last):
            return best
        return next((one for one in map(self.signatures.__getitem__, ordered) if not one.mentioned), None)

    def all_of(self, line: bytes) -> list[Signature]:
        """Every signature that occurs in this line, the one that names it first."""
        return [self.signatures[place] for place in sorted(self._set.Match(line) or ())]

    def _stops(self, block: Block, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        behind = start
        for at in self._ends(block, start, end):
            if at <= behind and behind > start:
                continue
            line_start = block.rfind(b"\n", start, at) + 1 or start
            line_end = block.find(b"\n", at, end)
            behind = end if line_end < 0 else line_end
            yield line_start, behind, at


def _set(patterns: Sequence[str]) -> Any:
    import re2

    together = re2.Set.SearchSet(line_options())
    for pattern in patterns:
        together.Add(f"(?m){pattern}".encode())
    together.Compile()
    return together


def _re2(patterns: Sequence[str]) -> Ends:
    """One alternation; after a match the rest of its line is left out."""
    import re2

    options = line_options()
    options.never_capture = True
    search = re2.compile(f"(?m)(?:{'|'.join(f'(?:{one})' for one in patterns)})".encode(), options).search

    def ends(block: Block, start: int, end: int) -> Iterator[int]:
        while start < end and (found := search(block, start, end)):
            yield found.end()
            start = block.find(b"\n", found.end(), end) + 1 or end

    return ends


def _fast(patterns: Sequence[str]) -> Ends:
    try:
        import hyperscan
    except ImportError as error:
        raise SourceFailed("engine 'fast' needs hyperscan: pip install 'airflow-oncall[fast]', or set engine re2") from error
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(expressions=[one.encode() for one in patterns], ids=list(range(len(patterns))), flags=hyperscan.HS_FLAG_MULTILINE)
    except hyperscan.error as error:
        raise SourceFailed(f"engine 'fast' does not take a signature: {error}; engine re2 takes all that are valid") from error

    def ends(block: Block, start: int, end: int) -> Iterator[int]:
        found: list[int] = []

        def stop(_id: int, _from: int, at: int, _flags: int, _context: object) -> None:
            found.append(at)

        with memoryview(block)[start:end] as view:
            database.scan(view, match_event_handler=stop)  # type: ignore[type-var]
        return (start + at for at in sorted(found))

    return ends
