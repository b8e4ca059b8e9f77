"""Whether the program that logged a record dealt with the trouble itself, by what it says then and what follows.

What is set aside here was told together with its way out. Where that way fails too, the program says so, there or in another record.
"""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_oncall.capture.logs.prefixes import PREFIX, STAMP
from airflow_oncall.capture.logs.scanner import Block, levels
from airflow_oncall.capture.logs.signatures import Signature

_WORDS = (
    *(b"trying again", b"retrying", b"will retry", b"will be retried", b"; again in", b", again in", b"not there yet"),
    *(b"going on with", b"falling back", b"set aside", b", skipped", b"skipped:", b"; default ", b"using default"),
)
_ENDED = re.compile(
    rb"\b(?:giving up|gave up|not retrying|no more|after retrying|retrying (?:is |has |was )?(?:failed|disabled)|falling back failed"
    rb"|exhausted|while retrying|is lost)\b"
)
"""The way out failed, or there is none. ``RESOURCE_EXHAUSTED`` is the name of a trouble and says nothing of it."""
_LAST_LEVELS = frozenset({b"CRITICAL", b"FATAL", b"PANIC", b"SEVERE"})
"""Levels of a program that does not go on."""
_ATTEMPT = re.compile(rb"\b(?:attempt|try|retry) (\d+)(?:(?: of |/| out of )(\d+)|(?=[:)]))")
"""A try that is counted, with or without the number of all."""
_WENT_ON = re.compile(rb"\b(?:(?:attempt|try|retry) \d|(?:re)?connected|succeeded|success|finished|done|completed?|recovered|answered)\b")
_SPARK_TRY = re.compile(rb"\b(?:Lost|Exception in) task (\d+)\.(\d{1,4}) in stage (\d+\.\d+)\b")
FOLLOWING = 4_096
"""Bytes behind a counted try in which another one, or its success, is looked for."""
_SAYS_MORE = re.compile(rb"\S")
_WARNED = re.compile(rb" ?(?:" + PREFIX + rb"?(?:(?<=WARNING)|[ -]*WARNING)[: ])")
"""Python's own word: a program that warns of an exception has caught it."""
_WARNED_IN_JAVA = re.compile(STAMP + rb" WARN ")


@lru_cache(maxsize=4_096)
def may_be_handled(line: bytes) -> bool:
    """Whether a record's first line, without its digits, is worth :func:`is_handled`.

    Asked once of lines that differ in their numbers only; most lines of trouble are written again and again.
    """
    line = line.lower()
    return any(words in line for words in (*_WORDS, b"try ", b"attempt ", b"warn", b" in stage ."))


def is_handled(block: Block, record: tuple[int, int], line: bytes, signature: Signature, end: int) -> bool:
    """Whether a record is told of and over: tried again, done without, or an exception that was caught.

    ``line``: its first one, as the program itself wrote it. ``end``: that of what follows in the block.
    """
    goes_on = _goes_on(line)
    if goes_on and any(words in line.lower() for words in _WORDS):
        return True
    if _is_caught(block, record, line, signature):
        return bool(_SAYS_MORE.search(block, record[1], end))  # a program's last words are no warning
    return goes_on and _is_tried_again(block, record[1], line, end)


def _goes_on(line: bytes) -> bool:
    return not _ENDED.search(line.lower()) and _LAST_LEVELS.isdisjoint(levels(line)[:1])


def _is_caught(block: Block, record: tuple[int, int], line: bytes, signature: Signature) -> bool:
    if not (signature.generic or signature.mentioned):
        return False  # what has a name is trouble, whoever catches it
    if _WARNED.match(line):
        return block.find(b"Traceback (most recent", *record) >= 0
    return bool(_WARNED_IN_JAVA.match(line)) and block.find(b"\n\tat ", *record) >= 0


def _is_tried_again(block: Block, behind: int, line: bytes, end: int) -> bool:
    if task := _SPARK_TRY.search(line):
        another = b"Starting task %b.%d in stage %b " % (task[1], int(task[2]) + 1, task[3])
        return block.find(another, behind, min(behind + 4 * FOLLOWING, end)) >= 0
    tries = _ATTEMPT.search(line.lower())
    if tries is None or tries[2]:
        return tries is not None and int(tries[1]) < int(tries[2])
    return bool(_WENT_ON.search(bytes(block[behind : min(behind + FOLLOWING, end)]).lower()))
