"""One entry of the knowledge base: what it is known by, what it means, what helps. Text from people and files is cleaned here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airflow_oncall.act.policy import ActionName, Category
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import OnCallError
from airflow_oncall.inert import inert

NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
PATTERN_CHARACTERS, TEXT_CHARACTERS = 500, 4_000
HISTORY = 100
"""Confidences that are remembered, the newest."""
_PATTERN_MEMORY = 1 << 20
"""Bytes that a pattern may need; a count of a count of a count needs more."""
_CALM = "INFO - Task started at 12:30:45.678, 100 rows were read in 2 s; exited with return code 0. Done"
"""What a log says when nothing failed; a pattern that fits it would fit every failure, too."""


class BadEntry(OnCallError):
    """An entry cannot be kept as it is; the message names the field and the way out."""


def _clean(value: object) -> object:
    """Text without secrets, and :func:`~airflow_oncall.inert.inert`."""
    if not isinstance(value, str):
        return value
    return redact(inert(value, len(value)), TEXT_CHARACTERS).strip()


def _harmless(text: str) -> str:
    if _clean(text) != text:
        raise ValueError("it holds what looks like a secret, control characters, or spaces at its ends; leave them out")
    return text


def _name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise ValueError("a name is made of a-z, 0-9, dot, underscore and hyphen, at most 100")
    return name


def _pattern(pattern: str) -> str:
    import re2

    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = False, False, _PATTERN_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise ValueError(f"RE2 does not take it: {said}; it knows no look-arounds and no back references") from error
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(f"Python does not take it: {error}") from error
    if pattern and (compiled.search("") or compiled.search(_CALM)):
        raise ValueError("it fits a log in which nothing failed; name words that only this failure has")
    return pattern


def _link(link: str) -> str:
    try:
        parts = urlsplit(link)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise ValueError(f"no address: {error}") from error
    if link and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("a runbook is an address that begins with http:// or https://")
    if parts.username is not None or re.search(r"[\s<>\[\]()\"'`\\|]", link):
        raise ValueError("an address holds no user, no spaces and no brackets")
    return link


Cleaned = BeforeValidator(_clean)
Safe = AfterValidator(_harmless)
EntryName = Annotated[str, Safe, AfterValidator(_name)]
Tag = Annotated[str, Field(min_length=1, max_length=60), Safe]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[float, Field(strict=True, ge=0, le=1e6)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Seen(Part):
    """How often an action helped, and how often not."""

    successes: Count = 0
    failures: Count = 0


class Belief(Part):
    """What the confidence was from some time on."""

    at: AwareDatetime
    confidence: Share


class Entry(Part):
    """What is known about one kind of failure. It is recognised by its fingerprint, by its pattern, or by being like its example."""

    name: EntryName
    category: Category
    fingerprint: Annotated[str, Field(max_length=64, pattern=r"^[\w.-]*$"), Safe] = ""
    """Of incidents, as ``show`` gives it."""
    pattern: Annotated[str, Field(max_length=PATTERN_CHARACTERS), Safe, AfterValidator(_pattern)] = ""
    """Regular expression as RE2 takes it, upper and lower case alike."""
    example: Annotated[str, Cleaned] = ""
    """Text of such a failure."""
    actions: tuple[ActionName, ...] = Field(default=(), max_length=5)
    """What helps, best first; empty where only a person can tell."""
    confidence: Share = 0.7
    """How likely the first action is to help, in the mind of who wrote it; outcomes correct it."""
    notes: Annotated[str, Cleaned] = ""
    """For people."""
    runbook: Annotated[str, Field(max_length=500), Safe, AfterValidator(_link)] = ""
    """Address of a page that tells more."""
    tags: tuple[Tag, ...] = Field(default=(), max_length=20)
    parent: str = Field(default="", pattern=rf"^({NAME})?$")
    """Name of the entry that this one is a special case of."""
    elsewhere: Mapping[ActionName, Seen] = Field(default_factory=dict)
    """What was seen where the entry comes from; not typed by people."""
    confidence_history: tuple[Belief, ...] = Field(default=(), max_length=HISTORY)
    """Earlier confidences, oldest first; not typed by people."""

    @model_validator(mode="after")
    def _known_by_something(self) -> Entry:
        if not (self.fingerprint or self.pattern or self.example):
            raise ValueError("it is known by nothing; give a fingerprint, a pattern or an example")
        if self.parent == self.name:
            raise ValueError("it is its own parent")
        return self

    @property
    def text(self) -> str:
        """What it is found by; a pattern's own words count where it has no example."""
        return self.example or _WORDS_OF_PATTERN.sub(" ", self.pattern)

    def kept(self) -> dict[str, Any]:
        """As JSON, without what is not said."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"name": self.name, "confidence": self.confidence}

    def changed(self, at: datetime, **changes: object) -> Entry:
        """The same with these fields changed; a confidence that changes goes on record. Raises ``BadEntry``."""
        confidence = changes.get("confidence", self.confidence)
        if confidence != self.confidence:
            before = [one.model_dump() for one in self.confidence_history] or [{"at": at, "confidence": self.confidence}]
            changes["confidence_history"] = [*before, {"at": at, "confidence": confidence}][-HISTORY:]
        return read_entry(self.model_dump() | changes)


_WORDS_OF_PATTERN = re.compile(r"\\[a-zA-Z]|[^\w\s/.\\-]+|\\")


def read_entry(data: object) -> Entry:
    """An entry from JSON or from what a person typed. Raises ``BadEntry``."""
    try:
        return Entry.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        quoted = "" if "secret" in problem or not place else f"; it has value {_clean(str(first['input']))!s:.60}"
        raise BadEntry(f"{f'field {place!r}: ' if place else ''}{problem}{quoted}") from error
    except RecursionError as error:
        raise BadEntry("it is nested too deeply") from error
