"""``sources.yaml``: which logs are polled. Every kind of source brings its own settings; only those in use are imported."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_oncall import conf
from airflow_oncall.capture.logs.source import LogSource
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile

FILE = "sources.yaml"
NAME = r"[\w.\-]{1,100}"
_HERE = "airflow_oncall.capture.logs."
KINDS: Mapping[str, str] = {
    "files": "files.FilesSettings",
    "spark_events": "spark_events.SparkEventsSettings",
    "spark_history": "spark_history.SparkHistorySettings",
    "postgres_files": "postgres_files.PostgresFilesSettings",
    "postgres_sql": "postgres_sql.PostgresSqlSettings",
    "postgres_live": "postgres_live.PostgresLiveSettings",
    "elasticsearch": "elasticsearch.ElasticsearchSettings",
    "kubernetes": "kubernetes.KubernetesSettings",
}
"""``kind`` of a source -> the class of its settings."""


class Settings(Protocol):
    """What the settings of every kind can do."""

    def source(self, name: str) -> LogSource:
        """The source of that name."""


class Configured(BaseModel):
    """One entry: how it is polled, and behind ``kind`` the settings of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(pattern=f"^{NAME}$")
    kind: str
    seconds: float = Field(default=45, gt=0, le=3_600)
    """How long one poll may read; what is left is read by the next."""
    timeout: float = Field(default=120, gt=0, le=7_200)
    """Seconds after which a poll that hangs is ended."""
    pool: str = "default_pool"

    @model_validator(mode="after")
    def _settings_fit(self) -> Configured:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of source; use one of {', '.join(KINDS)}")
        try:
            settings_class(self.kind).model_validate(self._given())
        except ValidationError as error:
            raise ValueError(f"{self.name}: {_first(error)}") from None
        return self

    def _given(self) -> dict[str, Any]:
        return {"kind": self.kind} | dict(self.model_extra or {})

    def source(self) -> LogSource:
        """The source itself."""
        settings: Settings = settings_class(self.kind).model_validate(self._given())
        return settings.source(self.name)


class Sources(BaseModel):
    """``sources.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[Configured, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Sources:
        names = [one.name for one in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; their cursors would mix")
        return self

    def named(self, name: str) -> Configured:
        """The source of this name. Raises :class:`BadDataFile`."""
        for one in self.sources:
            if one.name == name:
                return one
        raise BadDataFile(FILE, f"no source is called {name!r}; there are {', '.join(one.name for one in self.sources) or 'none'}")


@dataclass(frozen=True)
class Wrong:
    """An entry that cannot be polled, or the file as a whole. It is polled all the same, which makes it an incident, once."""

    name: str
    """The entry's own where it has one that no other has, else one that stands for it."""
    problem: str


def settings_class(kind: str) -> Any:
    """The pydantic model of a kind's settings."""
    module, _, name = KINDS[kind].rpartition(".")
    return getattr(import_module(_HERE + module), name)


def read_sources() -> Sources:
    """The operator's ``sources.yaml``, or the shipped one, which polls nothing. Raises :class:`BadDataFile` for any wrong entry."""
    path, text = _file()
    return parse(Sources, str(path), text)


def usable_sources() -> tuple[Sources, tuple[Wrong, ...]]:
    """What can be polled, and what is wrong: one mistake must not stop the sources around it."""
    try:
        path, text = _file()
        given = parse(_Entries, str(path), text).sources
    except BadDataFile as error:
        return Sources(), (Wrong(_stand_in(str(error)), str(error)),)
    good: dict[str, Configured] = {}
    wrong = list[Wrong]()
    for number, entry in enumerate(given, 1):
        try:
            one = Configured.model_validate(entry)
        except ValidationError as error:
            wrong.append(_wrong(f"{path}: entry {number}: {_first(error)}", entry, good))
            continue
        if one.name in good:
            wrong.append(_wrong(f"{path}: entry {number}: another source is called {one.name!r} too; their cursors would mix", entry, good))
        good.setdefault(one.name, one)
    return Sources(sources=tuple(good.values())), tuple(wrong)


class _Entries(BaseModel):
    """``sources.yaml`` before its entries are looked at."""

    model_config = ConfigDict(extra="forbid")

    sources: list[Any] = []


def _wrong(problem: str, entry: Any, good: Mapping[str, Configured]) -> Wrong:
    name = entry.get("name") if isinstance(entry, dict) else None
    is_own = isinstance(name, str) and re.fullmatch(NAME, name) and name not in good
    return Wrong(str(name) if is_own else _stand_in(problem), problem)


def _stand_in(problem: str) -> str:
    """A name for what has none; another mistake is another one, so it is told again."""
    return f"{FILE}-{hashlib.sha256(problem.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _file() -> tuple[Path, str]:
    path = next((folder / FILE for folder in conf.include_paths() if (folder / FILE).is_file()), None)
    if path is None:
        return Path(FILE), ""
    try:
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataFile(path, str(error)) from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    said = f"{first['msg'].removeprefix('Value error, ')}"
    return f"{place}: {said}; it has value {first['input']!r:.80}" if place else said
