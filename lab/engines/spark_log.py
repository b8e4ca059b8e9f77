"""Cuts what Spark logs to what a person would paste: the lines before the fault, few stack frames, healthy stretches."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator

FRAMES = 4
"""Frames kept of each exception; the rest of a stack says nothing about a cause."""
_ENTRY = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (?P<level>[A-Z]+) ")
_FRAME = re.compile(r"^\s+at \S")
_OURS = re.compile(r'^\s+File "[^"]*/lab/(?:harness|engines/spark_driver)\.py"')
_PYTHON_FRAME = re.compile(r'^\s+File "[^"]+", line \d+')
_STACK_END = re.compile(r"^\s+\.\.\. \d+ (more|common frames omitted)")
_TROUBLE = ("WARN", "ERROR", "FATAL")
_USUAL = re.compile(r"Unable to load native-hadoop library|Using incubator modules|Set SPARK_LOCAL_IP|resolves to a loopback address")
_LAB = re.compile(
    r"Another SparkContext is being constructed|spark\.local\.dir will be overridden|(?:SparkContext|Executor): OS info |^OS info "
)
"""Says only what the lab is: a JVM that served other jobs, a small disk, this machine."""
_PLAIN_LAB = re.compile(rf"^[^{{]*(?:{_LAB.pattern})")
"""The same in a line that is no JSON entry."""


def shorten(text: str) -> str:
    """Stacks without the lab's own frames and the code that Python's quote; Java's cut to :data:`FRAMES`, also inside JSON entries."""
    kept: list[str] = []
    run, quoted = 0, False
    for line in text.split("\n"):
        run = run + 1 if _FRAME.match(line) else 0
        quoted = quoted and line.startswith("    ")
        if run <= FRAMES and not quoted and not any(known.search(line) for known in (_STACK_END, _OURS, _PLAIN_LAB)):
            kept += [_shortened(entry) for entry in _said([line])] if line.startswith('{"ts"') else [line.replace("\r", "")]
        quoted = quoted or bool(_PYTHON_FRAME.match(line))
    return "\n".join(kept)


def entries(text: str) -> list[str]:
    """Log entries, each with the lines that belong to it; output that is no log entry is one of its own."""
    found: list[list[str]] = []
    for line in text.rstrip("\n").split("\n"):
        if not found or _ENTRY.match(line) or line.startswith("Traceback (most recent call last)"):
            found.append([line])
        else:
            found[-1].append(line)
    return ["\n".join(lines) for lines in found if any(lines) and not _LAB.search(lines[0])]


def level(entry: str) -> str:
    """The level of a log entry; empty for other output."""
    found = _ENTRY.match(entry)
    return found["level"] if found else ""


def troubles(text: str) -> str:
    """Only the entries at WARN and above, as most sites configure it."""
    return "\n".join(entry for entry in entries(text) if level(entry) in _TROUBLE and not _USUAL.search(entry))


def ending(text: str, lead: int) -> str:
    """From ``lead`` entries before the first trouble to the end; the last entries where nothing tells of trouble."""
    found = entries(text)
    first = next((n for n, entry in enumerate(found) if _starts_trouble(entry)), len(found) - 1)
    return "\n".join(found[max(0, first - lead) :])


def _starts_trouble(entry: str) -> bool:
    return not _USUAL.search(entry) and (level(entry) in _TROUBLE or not level(entry) or "Invoking stop() from shutdown hook" in entry)


def windows(text: str, dice: random.Random, most: int) -> Iterator[str]:
    """At most ``most`` stretches of 5 to 15 entries, spread over a healthy log."""
    found = entries(text)
    step = max(1, len(found) // most)
    for start in range(0, max(1, len(found) - 4), step):
        part = found[start : start + dice.randint(5, 15)]
        if len(part) >= min(5, len(found)) and most > 0:
            most -= 1
            yield "\n".join(part)


def structured(lines: Iterable[str]) -> str:
    """Spark's JSON log at WARN and above, stack traces cut."""
    found = (entry for entry in _said(lines) if entry.get("level") in _TROUBLE)
    return "\n".join(_shortened(entry) for entry in found if not _USUAL.search(str(entry.get("msg"))))


def _said(lines: Iterable[str]) -> Iterator[dict[str, object]]:
    """Entries of a JSON log without those that the lab is the reason for."""
    return (entry for entry in map(_parsed, lines) if not _LAB.search(str(entry.get("msg"))))


def _parsed(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shortened(entry: dict[str, object]) -> str:
    error = entry.get("exception")
    if isinstance(error, dict):
        entry = {**entry, "exception": {**_brief(error), "stacktrace": list(error.get("stacktrace") or ())[:FRAMES]}}
    return json.dumps(_brief(entry), ensure_ascii=False, separators=(",", ":"))


def _brief(part: dict[str, object]) -> dict[str, object]:
    return {**part, "msg": shorten(str(part.get("msg") or ""))}
