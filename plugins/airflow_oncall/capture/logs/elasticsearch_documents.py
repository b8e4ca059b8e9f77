"""One document of a log index as a :class:`Record`: which of its fields says what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import BaseModel, ConfigDict

from airflow_oncall.capture.logs.source import RECORD_LIMIT, Record

SIGNATURE = "error-document"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LABEL_LIMIT = 20
_AIRFLOW = ("dag_id", "run_id", "task_id", "map_index", "try_number")
_IDENTIFIERS = {
    "host": "host.name",
    "service": "service.name",
    "pid": "process.pid",
    "pod_name": "kubernetes.pod.name",
    "namespace": "kubernetes.namespace",
    "container_name": "kubernetes.container.name",
    "node_name": "kubernetes.node.name",
    "log_id": "log_id",
    **{name: name for name in _AIRFLOW},
}


class FieldNames(BaseModel):
    """Which field of a document says what; the defaults are those of the Elastic Common Schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timestamp: str = "@timestamp"
    """When it happened."""
    message: str = "message"
    """What happened, in words."""
    severity: str = "log.level"
    """How bad it is; ``severities`` chooses by it."""
    error_type: str = "error.type"
    """Class of the exception."""
    error_message: str = "error.message"
    """Its message, where that is not in ``message``."""
    stack_trace: str = "error.stack_trace"
    """Its stack."""
    labels: str = "labels"
    """An object of which every entry (at most 20) is an identifier under its own name, e.g. ``labels.dag_id``."""
    identifiers: dict[str, str] = {}
    """More identifiers, or other fields for host, service, pid, pod_name, namespace, container_name, node_name, log_id, dag_id,
    run_id, task_id, map_index and try_number. An empty name leaves one out."""

    @property
    def identifying(self) -> dict[str, str]:
        """Field of every identifier."""
        return {name: at for name, at in {**_IDENTIFIERS, **self.identifiers}.items() if at}

    @property
    def wanted(self) -> list[str]:
        """All fields that are asked for."""
        texts = [self.message, self.severity, self.error_type, self.error_message, self.stack_trace]
        return sorted({*texts, self.labels, f"{self.labels}.*", *self.identifying.values()})


def position(hit: Mapping[str, Any]) -> str:
    """``index/_id``: a document has it for good."""
    return f"{hit['_index']}/{hit['_id']}"


def record(hit: Mapping[str, Any], fields: FieldNames) -> Record:
    """A search hit as a record."""
    document = hit.get("_source") or {}
    return Record(
        position=position(hit),
        text=_text(document, fields),
        happened_at=_happened_at(hit, fields),
        signature=SIGNATURE,
        severity=_value(document, fields.severity).upper() or "ERROR",
        identifiers=_identifiers(document, fields),
    )


def _text(document: Mapping[str, Any], fields: FieldNames) -> str:
    """Message, then the exception and its stack as far as the message does not hold them yet."""
    stack = _value(document, fields.stack_trace)
    cause = ": ".join(filter(None, (_value(document, fields.error_type), _value(document, fields.error_message))))
    text = ""
    for part in (_value(document, fields.message), "" if cause in stack else cause, stack):
        if part and part not in text:
            text += ("\n" if text else "") + part
    if len(text) <= RECORD_LIMIT:
        return text
    half = RECORD_LIMIT // 2 - 50
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _identifiers(document: Mapping[str, Any], fields: FieldNames) -> dict[str, str]:
    labels = _at(document, fields.labels)
    entries = list(labels.items())[:_LABEL_LIMIT] if isinstance(labels, Mapping) else []
    found = {str(name): _plain(value) for name, value in entries if fields.identifiers.get(name) != ""}
    found |= {name: value for name, at in fields.identifying.items() if (value := _value(document, at))}
    log_id = found.pop("log_id", "")
    return _from_log_id(log_id, found) | {name: value for name, value in found.items() if value}


def _from_log_id(log_id: str, known: Mapping[str, str]) -> dict[str, str]:
    """Run, map index and try from the key that Airflow's own log handler writes beside ``dag_id`` and ``task_id``.

    Only together with them it can be taken apart, as ids may hold hyphens.
    """
    start = f"{known.get('dag_id')}-{known.get('task_id')}-"
    rest = re.fullmatch(r"(?P<run_id>.+?)-(?P<map_index>-1|\d+)-(?P<try_number>\d+)", log_id.removeprefix(start), re.DOTALL)
    return rest.groupdict() if rest and log_id.startswith(start) else {}


def _happened_at(hit: Mapping[str, Any], fields: FieldNames) -> datetime | None:
    """From the server's own reading of the field, so any date format of the mapping will do."""
    values = (hit.get("fields") or {}).get(fields.timestamp)
    return _EPOCH + timedelta(milliseconds=float(values[0])) if values else None


def _value(document: Mapping[str, Any], name: str) -> str:
    return _plain(_at(document, name))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value) if isinstance(value, (str, int, float)) else ""


def _at(document: Mapping[str, Any], name: str) -> Any:
    """A field by its dotted name, however much of it the document wrote with dots and how much as objects."""
    if name in document:
        return document[name]
    for dot in (found.start() for found in re.finditer(r"\.", name)):
        inner = document.get(name[:dot])
        if isinstance(inner, Mapping) and (value := _at(inner, name[dot + 1 :])) is not None:
            return value
    return None
