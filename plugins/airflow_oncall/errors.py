"""Every error this package raises on purpose: one tree, each class says what a caller can do about it."""

from __future__ import annotations


class OnCallError(Exception):
    """Base of all errors of this package; catching it catches nothing of Airflow's."""


class StoreError(OnCallError):
    """The incident store did not do what was asked; capture spools instead, the triage run fails and is run again."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is locked, slow or read-only. Trying again later helps."""


class StoreRefused(StoreError):
    """The store will never take this row, e.g. because a value is too long for its column. Trying again does not help."""


class VersionTaken(StoreError):
    """This version of a model is registered with another hash; the next version is free."""


class ChampionChanged(StoreError):
    """The champion is no longer the one that the challenger was measured against; measure again."""


class SchemaOutdated(StoreError):
    """The store's tables are missing or older than this code; ``airflow oncall db upgrade`` helps."""


class SchemaNewer(StoreError):
    """The store's tables are newer than this code; only the code that made them, or newer code, can work with them."""


class AirflowApiError(OnCallError):
    """Airflow's REST API did not do what was asked.

    ``status`` is the HTTP status (``None`` when no answer came) and ``transient`` tells whether the same call may
    succeed later without a person changing anything.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status is None or self.status == 429 or self.status >= 500


class NotFound(AirflowApiError):
    """The DAG, run or task instance is gone from Airflow (HTTP 404)."""


class BadDataFile(OnCallError):
    """A rule, policy or corpus file is wrong. The message names file, line and field; the last good one stays in force."""

    def __init__(self, path: object, problem: str, *, line: int | None = None, field: str | None = None) -> None:
        where = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {f'field {field!r}: ' if field else ''}{problem}")
        self.path, self.line, self.field = str(path), line, field


class BadSetting(OnCallError):
    """An option of the ``[oncall]`` section has a value that cannot be used."""


class TrainingSkipped(OnCallError):
    """There is nothing to train now; the message is the reason, and nothing has to be done about it."""


class UntrustedModel(OnCallError):
    """A model file is missing, altered, unregistered or made by another scikit-learn; rules are used instead."""
