"""What the rest of the package sees of the store; the SQL behind it is in the files beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

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

    def begin_training(self, name: str, trainer: str, lasting: timedelta) -> None:
        """Take the turn to train a model, or renew one's own; a dead trainer's ends by itself.

        Raises ``TrainingSkipped`` while it is somebody else's.
        """

    def end_training(self, name: str, trainer: str) -> None:
        """Give the turn back; somebody else's is left alone."""

    def register(self, model: ModelVersion) -> None:
        """Trust these files. The same (name, version) registered again with another hash raises ``VersionTaken``."""

    def describe(self, name: str, version: str, metrics: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """Add figures and files (names to SHA-256) to a registered version; hashes that stand there stay."""

    def promote(self, name: str, version: str, *, actor: str = "learn", reason: str = "", instead_of: str | None = None) -> None:
        """Make a registered version the champion, in one step.

        ``instead_of``: only while this version reigns (empty: while none does); else ``ChampionChanged`` is raised.
        """

    def withdraw(self, name: str, version: str, *, actor: str = "learn", reason: str = "") -> None:
        """Roll the champion back: its predecessor reigns. Raises ``ChampionChanged`` when it does not reign."""

    def champions(self, name: str) -> Sequence[ModelVersion]:
        """Promoted versions but for the withdrawn ones, the reigning champion first, then its predecessors."""

    def list(self, name: str | None = None) -> Sequence[ModelVersion]:
        """Every registered version, the newest first."""

    def get(self, name: str, version: str) -> ModelVersion | None:
        """One registered version."""
