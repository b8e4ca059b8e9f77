"""``sources.yaml``: which logs are polled. Every kind of source brings its own settings; only those in use are imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airflow_oncall import conf
from airflow_oncall.capture.logs.source import LogSource
from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile

FILE = "sources.yaml"
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

    name: str = Field(pattern=r"^[\w.\-]{1,100}$")
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
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{self.name}: {place}: {first['msg']}; it has value {first['input']!r:.80}") from None
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


def settings_class(kind: str) -> Any:
    """The pydantic model of a kind's settings."""
    module, _, name = KINDS[kind].rpartition(".")
    return getattr(import_module(_HERE + module), name)


def read_sources() -> Sources:
    """The operator's ``sources.yaml``, or the shipped one, which polls nothing. Raises :class:`BadDataFile`."""
    path = next((folder / FILE for folder in conf.include_paths() if (folder / FILE).is_file()), None)
    if path is None:
        return Sources()
    try:
        return parse(Sources, str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataFile(path, str(error)) from error
