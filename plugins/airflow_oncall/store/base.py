"""What the rest of the package sees of the store; the SQL behind it is in the files beside this one."""

from __future__ import annotations

from typing import Protocol

from airflow_oncall.incident import ModelVersion, Occurrence


class Intake(Protocol):
    """The writing end that capture uses inside other people's processes."""

    def record(self, occurrence: Occurrence) -> int | None:
        """Store one occurrence and open or extend its incident, in one transaction; return the incident's id.

        Idempotent: an occurrence whose key is already stored only fills evidence that was missing, and gives ``None``.
        Raises :class:`~airflow_oncall.errors.StoreError` when it could not be stored.
        """

    def request_sweep(self, dag_id: str, run_id: str) -> None:
        """Ask the next triage tick to look at this run's task instances (and wake it up)."""


class ModelVersions(Protocol):
    """The registry of trusted model files (``store.models``)."""

    def register(self, model: ModelVersion) -> None:
        """Trust this file. The same (name, version) registered again with another hash raises ``StoreError``."""

    def promote(self, name: str, version: str) -> None:
        """Make a registered version the champion."""

    def champions(self, name: str) -> list[ModelVersion]:
        """Promoted versions, the reigning champion first, then its predecessors."""
