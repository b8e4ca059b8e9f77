"""From a line that is trouble to the whole record: the exception's traceback, the stack below it, the lines that carry no prefix.

A log record starts at a line with a prefix (a time, a level, JSON) and goes on until the next one. Output without prefixes has no
records; there a traceback or a stack with its head is one, and any other line stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from airflow_oncall.capture.logs.handled import is_handled, may_be_handled
from airflow_oncall.capture.logs.prefixes import JSON, LEVEL, PREFIX, STAMP
from airflow_oncall.capture.logs.scanner import Block, Hit
from airflow_oncall.capture.logs.signatures import Signature
from airflow_oncall.capture.logs.source import RECORD_LIMIT

PLAIN_LINES = 20
"""Lines without prefix, indentation or frame that may stand in a row inside one record; more are a program's own output."""

_FRAME = rb"(?:(?:[ \t]|\\t)+at |[ \t]*\.\.\. \d+ more)"
_WITHIN = rb"(?:[ \t]+\S|Caused by: |Suppressed: |During handling of|The above exception)"
_PREFIXED = re.compile(
    rb"(?:" + PREFIX + rb"|" + JSON + rb")(?:(?P<frame> ?" + _FRAME + rb")|(?P<within>(?: |(?<=\")(?! ))" + _WITHIN + rb")|(?P<start>))"
)
_INDENTED = re.compile(rb"(?P<blank>[ \t\r]*(?:\n|\Z))|(?P<frame>" + _FRAME + rb")|(?P<within>[ \t])")
_BARE = re.compile(
    rb"(?P<frame>" + _FRAME + rb")|(?P<within>" + _WITHIN + rb")|(?P<start>\{\"|" + LEVEL + rb"[:\] ])"
    rb"|(?P<head>Traceback \(most recent|Exception in thread)"
)
_COMPANIONS = frozenset({b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"})
"""PostgreSQL's lines that accompany an error, each with a prefix of its own."""
_INSIDE = frozenset({"frame", "within"})
"""Kinds of lines that never stand alone; below a ``frame``, which is Java's, nothing else belongs to the stack."""
_CLOSING = re.compile(
    rb" ?(?:[\w.$]*(?:Error|Exception|Exit|Interrupt|Timeout|Failed|Failure|Invalid|NotFound)\b|(?:[a-z_]\w*\.)+[A-Z]\w*)(?::|\s|\"|$)"
)
"""What Python writes below the last frame, with or without a prefix in front of it."""
_LONGEST_PREFIX = 256
_CONTAINER = re.compile(rb"\d{4}-\S{5,40} std(?:out|err) [FP]")
_OWNER = re.compile(rb" ?(?:" + STAMP + rb"[^\n\"]{0,80}?[ \[|])?(?:WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE)\b")
"""A program's own log line inside another program's: the traceback that is taken below it belongs to it."""
_QUIET_LEADER = re.compile(PREFIX + rb"(?<=INFO|EBUG|RACE) ?|" + PREFIX + rb"(?<=INFO -|EBUG -|RACE -)|(?:INFO|DEBUG|TRACE)[:\] ]")
"""What a program says by the way does not own the trouble that another one prints below it."""
_FIRST_WORD, _LAST_WORD = re.compile(r"\A\S{1,4096}"), re.compile(r"(?<!\S)\S{1,4096}\Z|\S{4096}\Z")
_Kind = tuple[str | None, int]
"""What a line is to the lines around it, ``None`` for one that tells nothing, and where it begins behind its prefix."""
_RESUMED = re.compile(rb"\s*(?:During handling of|The above exception|Caused by: )")


class Span(NamedTuple):
    """A record in its block."""

    start: int
    end: int
    signature: Signature
    """The one that names it."""
    at: int
    """Where in it the signature was found."""


def spans(block: Block, hits: Iterable[Hit], start: int = 0, end: int | None = None, read: int | None = None) -> Iterator[Span]:
    """The records around ``hits``, in their order; hits of one record are one. What its program deals with itself is left out.

    What stands between ``end`` and ``read`` only tells how a program went on.
    """
    end = len(block) if end is None else end
    for span in _merged(block, hits, start, end):
        line_end = block.find(b"\n", span.start, span.end)
        line = bytes(block[span.start : span.end if line_end < 0 else line_end])
        may_be = may_be_handled(line.translate(None, b"0123456789"))
        if not (may_be and is_handled(block, (span.start, span.end), _own_part(line), span.signature, end if read is None else read)):
            yield span


def _merged(block: Block, hits: Iterable[Hit], behind: int, end: int) -> Iterator[Span]:
    last: Span | None = None
    for hit in hits:
        if last and hit.start < last.end:
            if _rank(hit.signature) < _rank(last.signature):
                last = last._replace(signature=hit.signature, at=hit.at)
            continue
        if last:
            yield last
            behind = last.end + 1
        line = _kind(block, hit.start)
        top, is_led = _top(block, hit.start, line, behind)
        last = Span(top, _bottom(block, hit, line, end, is_led), hit.signature, hit.at)
    if last:
        yield last


def _own_part(line: bytes) -> bytes:
    """What the program itself wrote of a line that another one took from it."""
    kind = _kind(line, 0)
    return line[_own_words(line, 0, kind[1]) :] if _is_owner(line, 0, kind) else line


def _rank(signature: Signature) -> tuple[bool, bool]:
    """The least of several names a record."""
    return signature.generic, signature.mentioned


def last_start(block: Block, start: int, end: int) -> int:
    """Where the record of the last line starts, whose next lines may still have to be written; ``end`` behind the last end of line."""
    if end <= start:
        return start
    line = _line_before(block, start, end)
    return _top(block, line, _kind(block, line), start)[0]


def _top(block: Block, line: int, line_kind: _Kind, low: int) -> tuple[int, bool]:
    """Start of the record of the line at ``line``, and whether a line with a prefix leads it."""
    here, plain, limit = line, 0, max(low, line - RECORD_LIMIT)
    kind, words = line_kind
    while kind != "start" or (here > limit and _closes(block, here, words, limit)):
        if here <= limit or plain > PLAIN_LINES:
            return _head(block, line, line_kind[0], limit), False
        here = _line_before(block, limit, here)
        kind, words = _kind(block, here)
        plain = plain + 1 if kind in {None, "blank"} else 0
    if _is_traceback(block, words) and (owner := _owner_above(block, here, limit)) is not None:
        return owner, True
    if here != line and _QUIET_LEADER.match(block, here):
        return _head(block, line, line_kind[0], here), False
    return here, True


def _owner_above(block: Block, line: int, limit: int) -> int | None:
    """Start of the line above a traceback whose every line has a prefix, where a log line of the program itself stands in it."""
    above = _line_before(block, limit, line)
    return above if above < line and _is_owner(block, above, _kind(block, above)) else None


def _owns_next(block: Block, line: int, line_kind: _Kind, below: int) -> bool:
    return _is_owner(block, line, line_kind) and _is_traceback(block, _kind(block, below)[1])


def _is_traceback(block: Block, words: int) -> bool:
    return block.startswith((b" Traceback (most recent", b"Traceback (most recent"), words)


def _is_owner(block: Block, line: int, line_kind: _Kind) -> bool:
    kind, words = line_kind
    return kind == "start" and words > line and bool(_OWNER.match(block, _own_words(block, line, words)))


def _own_words(block: Block, line: int, words: int) -> int:
    """Where in a line that a container's runtime took begins what was said; the level behind its prefix is the program's."""
    container = _CONTAINER.match(block, line)
    return container.end() if container else words


def _closes(block: Block, line: int, words: int, limit: int) -> bool:
    """Whether the line with a prefix is the last one of a traceback whose lines all have one."""
    return bool(_CLOSING.match(block, words)) and _kind(block, _line_before(block, limit, line))[0] == "within"


def _head(block: Block, line: int, kind: str | None, limit: int) -> int:
    """Start of the stack that the line at ``line`` belongs to where nothing has a prefix: the line above its first frame."""
    here = line
    while here > limit:
        above = _line_before(block, limit, here)
        kind_above = _kind(block, above)[0]
        if not _belongs_to_the_line_above(block, (here, kind), (above, kind_above), limit):
            break
        here, kind = above, kind_above
    return here


def _belongs_to_the_line_above(block: Block, line: tuple[int, str | None], line_above: tuple[int, str | None], limit: int) -> bool:
    (here, kind), (above, kind_above) = line, line_above
    if kind == "blank":
        return bool(_RESUMED.match(block, here) or _RESUMED.match(block, above))
    if kind == "head":
        return kind_above == "blank" and bool(_RESUMED.match(block, _line_before(block, limit, above)))
    return kind in _INSIDE or kind_above == "within"


def _bottom(block: Block, hit: Hit, line: _Kind, high: int, is_led: bool) -> int:
    """End of the record of the line of a hit, behind the last character of its last line."""
    end, plain, high, before = hit.end, 0, min(high, hit.end + RECORD_LIMIT), line[0]
    at = end + 1
    if block.find(b"Traceback (", at, min(high, at + _LONGEST_PREFIX)) >= 0 and _owns_next(block, hit.start, line, at):
        end = _line_end(block, at, high)
        at = end + 1
    while at < high and plain <= PLAIN_LINES:
        kind, words = _kind(block, at)
        if not (_closes_below(block, words, before) if kind == "start" else _goes_on(block, at, kind, before, is_led)):
            break
        plain = plain + 1 if kind in {None, "blank"} else 0
        behind = _line_end(block, at, high)
        end = end if kind == "blank" else behind
        at, before = behind + 1, kind
    return end


def _closes_below(block: Block, words: int, before: str | None) -> bool:
    return before == "within" and bool(_CLOSING.match(block, words))


def _goes_on(block: Block, at: int, kind: str | None, before: str | None, is_led: bool) -> bool:
    """Whether the line at ``at``, which has no prefix, still belongs to the record."""
    if kind == "blank":
        return is_led or bool(_RESUMED.match(block, at))
    return kind in _INSIDE or is_led or before in {"within", "head"} or (before == "blank" and bool(_RESUMED.match(block, at)))


def _line_end(block: Block, at: int, high: int) -> int:
    found = block.find(b"\n", at, high)
    return high if found < 0 else found


def _line_before(block: Block, low: int, at: int) -> int:
    """Start of the line that ends at ``at``."""
    return (block.rfind(b"\n", low, max(low, at - 1)) + 1) or low


def _kind(block: Block, at: int) -> _Kind:
    """What the line at ``at`` is to the lines around it. Asked for every line near a hit, so it must be quick."""
    if prefixed := _PREFIXED.match(block, at):
        words, kind = prefixed.end(), prefixed.lastgroup
        if kind == "start" and (sign := block.find(b":  ", words, words + 160)) > 0 and _is_companion(block, words, sign):
            return "within", words
        return kind, words
    first = block[at : at + 1]
    if first in (b"", b"\n", b"\r"):
        return "blank", at
    found = (_INDENTED if first in (b" ", b"\t") else _BARE).match(block, at)
    return (found.lastgroup if found else None), at


def _is_companion(block: Block, at: int, sign: int) -> bool:
    return bytes(block[max(at, sign - 9) : sign]).rpartition(b" ")[2] in _COMPANIONS


def cut(text: str, around: int) -> str:
    """At most :data:`RECORD_LIMIT` characters of a record: its head, the place ``around`` which it was found, and its tail."""
    if len(text) <= RECORD_LIMIT:
        return text
    part = (RECORD_LIMIT - 200) // 4
    middle = min(max(around - part, part), len(text) - 3 * part)
    pieces = [text[:part], text[middle : middle + 2 * part], text[len(text) - part :]]
    gaps = [middle - part, len(text) - 3 * part - middle]
    for number, gap in enumerate(gaps):
        if gap:  # half a word may be half a secret, which no pattern knows any more
            pieces[number] = _LAST_WORD.sub("", pieces[number]) + f"\n[... {gap} characters left out ...]\n"
            pieces[number + 1] = _FIRST_WORD.sub("", pieces[number + 1])
    return "".join(pieces)
