"""From a line that is trouble to the whole record: the exception's traceback, the stack below it, the lines that carry no prefix.

A log record starts at a line with a prefix (a time, a level, JSON) and goes on until the next one. Output without prefixes has no
records; there a traceback or a stack with its head is one, and any other line stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from airflow_oncall.capture.logs.scanner import Block, Hit
from airflow_oncall.capture.logs.signatures import Signature
from airflow_oncall.capture.logs.source import RECORD_LIMIT

PLAIN_LINES = 20
"""Lines without prefix, indentation or frame that may stand in a row inside one record; more are a program's own output."""

_LEVEL = rb"(?:TRACE|DEBUG\d?|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE|LOG|PANIC)"
_STAMP = (
    rb"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\]]{0,20}\]?|\[\d{4}-[^\]\n]{5,45}\]|\d\d/\d\d/\d\d \d\d:\d\d:\d\d"
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|time=\S+|[IWEF]\d{4} \d\d:\d\d:\d\d\S*)"
)
_PREFIX = (
    rb"(?:" + _STAMP + rb"(?: std(?:out|err) [FP])?(?: \[[^\]\n]{1,60}\]| \{[^}\n]{1,80}\}| [A-Z]{3,4}(?= )){0,3}"
    rb"(?: \[?" + _LEVEL.lower() + rb" *\]| \[?" + _LEVEL + rb"\]?)?(?: -)?)"
)
_FRAME = rb"(?:[ \t]+at |[ \t]*\.\.\. \d+ more)"
_WITHIN = rb"(?:[ \t]+\S|Caused by: |Suppressed: |During handling of|The above exception)"
_PREFIXED = re.compile(_PREFIX + rb"(?:(?P<frame> ?" + _FRAME + rb")|(?P<within> " + _WITHIN + rb")|(?P<start>))")
_INDENTED = re.compile(rb"(?P<blank>[ \t\r]*(?:\n|\Z))|(?P<frame>" + _FRAME + rb")|(?P<within>[ \t])")
_BARE = re.compile(
    rb"(?P<frame>" + _FRAME + rb")|(?P<within>" + _WITHIN + rb")|(?P<start>\{\"|" + _LEVEL + rb"[:\] ])"
    rb"|(?P<head>Traceback \(most recent|Exception in thread)"
)
_COMPANIONS = frozenset({b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"})
"""PostgreSQL's lines that accompany an error, each with a prefix of its own."""
_INSIDE = frozenset({"frame", "within"})
"""Kinds of lines that never stand alone; below a ``frame``, which is Java's, nothing else belongs to the stack."""
_CLOSING = re.compile(rb" ?[\w.$]*(?:Error|Exception|Exit|Interrupt|Timeout|Failed|Failure|Invalid|NotFound)\b(?::|\s|$)")
"""What Python writes below the last frame, with or without a prefix in front of it."""
_QUIET_LEADER = re.compile(_PREFIX + rb"(?<=INFO|EBUG|RACE) ?|" + _PREFIX + rb"(?<=INFO -|EBUG -|RACE -)|(?:INFO|DEBUG|TRACE)[:\] ]")
"""What a program says by the way does not own the trouble that another one prints below it."""
_FIRST_WORD, _LAST_WORD = re.compile(r"\A\S{1,4096}"), re.compile(r"(?<!\S)\S{1,4096}\Z|\S{4096}\Z")
_Kind = tuple[str | None, int]
"""What a line is to the lines around it, ``None`` for one that tells nothing, and where it begins behind its prefix."""
_RESUMED = re.compile(rb"\s*(?:During handling of|The above exception|Caused by: )")


_HANDLED = (
    *(b"trying again", b"retrying", b"will retry", b"will be retried", b"; again in", b", again in", b"left for the next", b"no state yet"),
    *(b"going on with", b"falling back", b"set aside", b", skipped", b"skipped:", b"; default ", b"using default", b"; next address"),
    *(b", taking the second", b"second address answered", b", starting another", b"not there yet"),
)
_ATTEMPT = re.compile(rb"\b(?:attempt|try|retry) (\d+)(?:(?: of |/| out of )(\d+)|(?=[:)]))")
"""A try that is counted, with or without the number of all."""
_WENT_ON = re.compile(rb"\b(?:(?:attempt|try|retry) \d|(?:re)?connected|succeeded|success|finished|done|completed?|recovered|answered)\b")
FOLLOWING = 4_096
"""Bytes behind a counted try in which another one, or its success, is looked for."""
_WARNED = re.compile(_PREFIX + rb"?(?:(?<=WARNING)|[ -]*WARNING)[: ]")
"""Python's own word, log4j's is WARN: a program that warns of an exception has caught it."""


class Span(NamedTuple):
    """A record in its block."""

    start: int
    end: int
    signature: Signature
    """The one that names it."""
    at: int
    """Where in it the signature was found."""


def spans(block: Block, hits: Iterable[Hit], start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The records around ``hits``, in their order; hits of one record are one. What its program deals with itself is left out."""
    end = len(block) if end is None else end
    for span in _merged(block, hits, start, end):
        if not _is_handled(block, span, end):
            yield span


def _merged(block: Block, hits: Iterable[Hit], behind: int, end: int) -> Iterator[Span]:
    last: Span | None = None
    for hit in hits:
        if last and hit.start < last.end:
            if last.signature.generic and not hit.signature.generic:
                last = last._replace(signature=hit.signature, at=hit.at)
            continue
        if last:
            yield last
            behind = last.end + 1
        line = _kind(block, hit.start)
        top, is_led = _top(block, hit.start, line, behind)
        last = Span(top, _bottom(block, line[0], hit.end, end, is_led), hit.signature, hit.at)
    if last:
        yield last


def _is_handled(block: Block, span: Span, end: int) -> bool:
    """Whether the first line of a record says that its program goes on by itself: it tries again, or does without."""
    line_end = block.find(b"\n", span.start, span.end)
    line = bytes(block[span.start : span.end if line_end < 0 else line_end])
    if not _may_be_handled(line.translate(None, b"0123456789")):
        return False
    lower = line.lower()
    if any(words in lower for words in _HANDLED):
        return True
    if _WARNED.match(line) and block.find(b"Traceback (most recent", span.start, span.end) >= 0:
        return True
    tries = _ATTEMPT.search(lower)
    if tries is None or tries[2]:
        return tries is not None and int(tries[1]) < int(tries[2])
    return bool(_WENT_ON.search(bytes(block[span.end : min(span.end + FOLLOWING, end)]).lower()))


@lru_cache(maxsize=4_096)
def _may_be_handled(line: bytes) -> bool:
    """Asked once of lines that differ in their numbers only; most lines of trouble are written again and again."""
    line = line.lower()
    return any(words in line for words in (*_HANDLED, b"try ", b"attempt ", b"warning"))


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
    if here != line and _QUIET_LEADER.match(block, here):
        return _head(block, line, line_kind[0], here), False
    return here, True


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


def _bottom(block: Block, before: str | None, line_end: int, high: int, is_led: bool) -> int:
    """End of the record of the line that ends at ``line_end``, behind the last character of its last line."""
    end, plain, high = line_end, 0, min(high, line_end + RECORD_LIMIT)
    at = line_end + 1
    while at < high and plain <= PLAIN_LINES:
        kind, words = _kind(block, at)
        if not (_closes_below(block, words, before) if kind == "start" else _goes_on(block, at, kind, before, is_led)):
            break
        plain = plain + 1 if kind in {None, "blank"} else 0
        behind = block.find(b"\n", at, high)
        behind = high if behind < 0 else behind
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


def _line_before(block: Block, low: int, at: int) -> int:
    """Start of the line that ends at ``at``."""
    return (block.rfind(b"\n", low, max(low, at - 1)) + 1) or low


def _kind(block: Block, at: int) -> _Kind:
    """What the line at ``at`` is to the lines around it. Asked for every line near a hit, so it must be quick."""
    if prefixed := _PREFIXED.match(block, at):
        words, kind = prefixed.end(), prefixed.lastgroup
        return ("within" if kind == "start" and _is_companion(block, words) else kind), words
    first = block[at : at + 1]
    if first in (b"", b"\n", b"\r"):
        return "blank", at
    found = (_INDENTED if first in (b" ", b"\t") else _BARE).match(block, at)
    return (found.lastgroup if found else None), at


def _is_companion(block: Block, at: int) -> bool:
    sign = block.find(b":  ", at, at + 160)
    return sign > 0 and bytes(block[max(at, sign - 9) : sign]).rpartition(b" ")[2] in _COMPANIONS


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
