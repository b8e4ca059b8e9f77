"""The nouns of the project, frozen and without I/O. DESIGN: ``docs/design.md``, section "Nouns and states".

A failed try of a task instance is an :class:`Occurrence`; the task instance in trouble is an :class:`Incident` that
holds its occurrences. A :class:`Diagnosis` says what is wrong, a :class:`Decision` what shall be done, an
:class:`Action` what was done to which try, an :class:`Outcome` how the task instance ended after it.
All times are timezone-aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

OWN_DAG_IDS = frozenset({"oncall_triage", "oncall_approval", "oncall_poll", "oncall_train"})
"""DAGs of this project: their failures are never incidents and they are never acted on."""

CATEGORIES = (
    "database_connectivity",
    "database_performance",
    "storage_exhaustion",
    "memory_exhaustion",
    "network_connectivity",
    "network_timeout",
    "rate_limit",
    "authentication",
    "configuration_error",
    "missing_data",
    "data_quality",
    "code_error",
    "infrastructure_failure",
    "workflow_timeout",
)
"""Root-cause categories; ``NO_INCIDENT`` and ``UNKNOWN`` are the two answers outside them."""

SEVERITIES = ("low", "medium", "high", "critical")
"""How bad an incident is, the least first."""

REPORTED = "api:"
"""What the name of a source begins with whose incidents other systems report through the API."""

NO_INCIDENT = "none"
UNKNOWN = "unknown"


class _Word(str, Enum):
    """A string enum that prints as its value (``StrEnum`` needs Python 3.11)."""

    def __str__(self) -> str:
        return str(self.value)


class Kind(_Word):
    """What is in trouble."""

    TASK = "task"
    DAG_RUN = "dag_run"
    DAG_IMPORT = "dag_import"
    LOG = "log"  # what a log tells of


class State(_Word):
    """Where an incident stands. The three last ones close it."""

    WATCHING = "watching"  # Airflow still retries by itself
    OPEN = "open"
    DIAGNOSED = "diagnosed"
    ASKED = "asked"
    ACTING = "acting"
    WAITING = "waiting"
    ESCALATED = "escalated"  # a person's now; followed until the task instance succeeds
    OBSERVED = "observed"  # shadow mode: nothing is done, the end is still followed
    VERIFYING = "verifying"
    HELD = "held"  # a member of a storm, which says when it goes on
    RESOLVED = "resolved"
    SELF_HEALED = "self_healed"
    CLOSED = "closed"


CLOSING = frozenset({State.RESOLVED, State.SELF_HEALED, State.CLOSED})


class Verdict(_Word):
    """What a decision says."""

    AUTO = "auto"
    ASK = "ask"
    ESCALATE = "escalate"
    WAIT = "wait"
    OBSERVE = "observe"


class ActionKind(_Word):
    """What this project can do about an incident; other packages add kinds of their own, which are plain strings."""

    CLEAR_TASK = "clear_task"
    CLEAR_RUN = "clear_run"
    CLEAR_DOWNSTREAM = "clear_downstream"
    CLEAR_WITH_DELAY = "clear_with_delay"
    RETRY_WITH_MORE_MEMORY = "retry_with_more_memory"
    RESIZE_POOL = "resize_pool"
    TERMINATE_BLOCKER = "terminate_blocker"
    KILL_SPARK_APPLICATION = "kill_spark_application"
    RESTART_POD = "restart_pod"
    PAUSE_DAG = "pause_dag"
    MARK_SUCCESS = "mark_success"
    SKIP = "skip"
    RUN_RUNBOOK = "run_runbook"
    ESCALATE = "escalate"


class ActionState(_Word):
    """``planned`` is the only state that leads on; a crash leaves it, and the next tick reconciles it with Airflow."""

    PLANNED = "planned"
    DONE = "done"
    SUPERSEDED = "superseded"  # somebody else moved the task instance first
    REFUSED = "refused"  # a precondition or Airflow itself said no
    DROPPED = "dropped"  # a person rejected it


class OutcomeKind(_Word):
    """How a task instance ended after an action (or, for ``observed`` and ``escalated``, without one)."""

    SUCCESS = "success"
    FAILED_SAME = "failed_same"
    FAILED_OTHER = "failed_other"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


@dataclass(frozen=True, order=True)
class TaskRef:
    """One task instance of one run. ``map_index`` is -1 when unmapped; ``task_id`` is empty for a whole run."""

    dag_id: str
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1

    @property
    def key(self) -> str:
        """Canonical text; no part may contain a slash (Airflow forbids it in all three ids)."""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}/{self.map_index}"

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return "/".join(filter(None, (self.dag_id, self.run_id, self.task_id))) + mapped


@dataclass(frozen=True)
class Evidence:
    """What is known about one failed try. Every text was redacted, then truncated, before it came here."""

    exception_chain: tuple[str, ...] = ()
    """Qualified class names, outermost first, the innermost cause last."""
    message: str = ""
    traceback: str = ""
    operator: str | None = None
    hostname: str | None = None
    duration: float | None = None
    """Seconds the try ran."""
    max_tries: int | None = None
    log_tail: str = ""

    @property
    def text(self) -> str:
        """All text evidence, least to most decisive (log, traceback, message last)."""
        return "\n".join(filter(None, (self.log_tail, self.traceback or self.message)))


@dataclass(frozen=True)
class Occurrence:
    """One failed try (``kind`` task), one failed run, or one version of a DAG import error."""

    ref: TaskRef
    seen_by: str
    """Who noticed: ``listener``, ``callback``, ``sweep``."""
    happened_at: datetime
    try_number: int = 0
    kind: Kind = Kind.TASK
    will_retry: bool = False
    """Airflow itself will run the task instance again."""
    by_hand: bool = False
    """A person marked it failed; the system never undoes that."""
    fingerprint: str = ""
    mark: str = ""
    """What tells occurrences of one ref apart beside the try: a run's end time, an import error's fingerprint."""
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def key(self) -> str:
        """Unique key: however many see this occurrence, it is stored once."""
        return f"{self.kind}:{self.ref.key}/{self.try_number}" + (f"/{self.mark}" if self.mark else "")

    @property
    def incident_key(self) -> str:
        """Key of the incident it belongs to while that one is open."""
        return f"{self.kind}:{self.ref.key}"


class Correlation(_Word):
    """How a log event was tied to a task instance."""

    EXPLICIT = "explicit"  # the engine's own fields name it
    INFERRED = "inferred"  # time, host, user and application fit a task instance that ran
    NONE = "none"


@dataclass(frozen=True)
class LogEvent:
    """One trouble that a source logged, or several of one fingerprint that one poll found. Text was redacted, then truncated."""

    source: str
    """Name of the source as configured."""
    position: str
    """Place in the source; the same record always has the same one."""
    happened_at: datetime
    text: str
    fingerprint: str
    signature: str = ""
    severity: str = ""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """From fields that the engine itself wrote."""
    claimed: Mapping[str, str] = field(default_factory=dict)
    """From free text, which anybody can write: shown, and never choosing what is acted on."""
    ref: TaskRef | None = None
    """The task instance it belongs to."""
    try_number: int = 0
    """That task instance's try; 0 where unknown."""
    correlation: Correlation = Correlation.NONE
    probability: float = 0.0
    """That ``ref`` is the right one."""
    count: int = 1
    """Records that it stands for."""

    @property
    def key(self) -> str:
        """Unique key: a record is stored once."""
        return f"{self.source}/{self.position}"

    @property
    def incident_key(self) -> str:
        """Key of the incident it belongs to while that one is open."""
        return f"{Kind.LOG}:{self.source}/{self.fingerprint}" + (f"/{self.ref.key}" if self.ref else "")


@dataclass(frozen=True)
class Incident:
    """One thing in trouble, from its first failed try until it succeeds or is closed."""

    id: int
    kind: Kind
    ref: TaskRef
    state: State
    fingerprint: str
    try_number: int
    """The newest failed try seen."""
    opened_at: datetime
    updated_at: datetime
    due_at: datetime | None
    """When triage looks at it next; ``None`` once closed."""
    looks: int = 0
    """How often triage looked since the last change of state; sets the pace of the next look."""
    decisions: int = 0
    """Number of the newest decision; 0 before the first."""
    closed_at: datetime | None = None
    category: str | None = None
    detail: str = ""
    """The newest reason, in one line."""
    storm_id: int | None = None
    """The storm that it is a member of, also after that storm is over."""
    source: str = "airflow"
    """Where it comes from: Airflow itself, or the name of what logged or reported it."""
    severity: str = ""
    """One of :data:`SEVERITIES`; empty until it is decided about."""

    @property
    def is_open(self) -> bool:
        """Whether it is still followed."""
        return self.state not in CLOSING


class StormState(_Word):
    """Where a storm stands. ``closed`` ends it."""

    PROBING = "probing"  # one member is repaired first; the others are held
    RELEASING = "releasing"  # the probe was seen to succeed; the others follow in growing waves
    WAITING = "waiting"  # a probe failed; the next one comes later
    ESCALATED = "escalated"  # a person's; the members are still followed
    CLOSED = "closed"


@dataclass(frozen=True)
class Storm:
    """Many incidents with one cause: one question, one notification, one probe."""

    id: int
    cause: str
    """What its members have in common, unique while it is open: a fingerprint, or category and shared resource."""
    category: str
    state: StormState
    opened_at: datetime
    due_at: datetime | None
    members: int
    """Incidents that ever belonged to it."""
    held: int
    """Members that still wait for it."""
    probe_id: int | None = None
    """The member that is repaired first."""
    probes: int = 0
    """Probes so far; the waits between them grow with it."""
    wave: int = 0
    """Waves released since the last probe was seen to succeed."""
    since: datetime | None = None
    """When the newest probe was chosen or the newest wave released."""
    answer: str = ""
    """What a person said to its question: ``approved``, ``rejected``, or nothing yet."""
    answered_by: str = ""
    detail: str = ""
    closed_at: datetime | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, with how much certainty, and what carried the judgement."""

    category: str
    """One of :data:`CATEGORIES`, ``none`` (the text shows no failure) or ``unknown``."""
    probability: float
    transient: bool | None
    """Whether the same run, unchanged, can succeed later; ``None`` when unclear."""
    transient_probability: float
    anomaly: bool = False
    """Unlike anything the models and rules know."""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    """The lines, words or rules that carried it, most decisive first."""
    decided_by: str = "rules"
    model_version: str | None = None
    alternatives: Mapping[str, float] = field(default_factory=dict)
    """What the model held likely, most likely first; empty where no model was asked."""


@dataclass(frozen=True)
class Decision:
    """What shall be done about an incident, with the whole reason."""

    incident_id: int
    number: int
    verdict: Verdict
    action: str | None
    """An :class:`ActionKind`, or a kind that another package registered."""
    answers_try: int
    probability: float
    """Probability that the action resolves the incident."""
    reasons: tuple[str, ...]
    wait_seconds: int = 0
    mode: str = ""
    id: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the action shall be done with, e.g. the memory of the next try."""
    basis: Mapping[str, Any] = field(default_factory=dict)
    """The figures behind it: bar, expected gain, attempts, minutes, guards, lines of the policy."""
    arm: str = ""
    """The experiment and its arm, or ``holdout``, by which it was assigned; empty where nothing was drawn."""


@dataclass(frozen=True)
class Action:
    """What was planned and done, and to which exact try."""

    id: int
    incident_id: int
    decision_number: int
    kind: str
    """An :class:`ActionKind`, or a kind that another package registered."""
    ref: TaskRef
    answers_try: int
    state: ActionState
    planned_at: datetime
    done_at: datetime | None = None
    attempts: int = 1
    """Runs that it re-arms: a clear grants the task its full retries again."""
    detail: str = ""
    approved_by: str | None = None
    category: str = ""
    """Category of the diagnosis that it answers."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What the note on the task instance carries, so that a crash can be reconciled from Airflow."""
        return f"[oncall #{self.incident_id}.{self.decision_number} {self._moment}]"

    @property
    def own_run_id(self) -> str:
        """Of the run in which it is asked about, or which does it: Airflow starts a run of one id once."""
        return f"oncall-{self.incident_id}-{self.decision_number}-{self._moment}"

    @property
    def _moment(self) -> str:
        # Airflow keeps its runs and notes when the store is replaced or set back, and then the same numbers come again.
        return f"{self.planned_at:%Y%m%dT%H%M%S%f}"


@dataclass(frozen=True)
class Outcome:
    """How the task instance was seen to end."""

    incident_id: int
    kind: OutcomeKind
    seen_at: datetime
    try_number: int
    action_id: int | None = None
    detail: str = ""
    ended_at: datetime | None = None
    """When Airflow says that the try ended which succeeded; ``None`` where none did, or Airflow does not say."""


@dataclass(frozen=True)
class Label:
    """What is known to be true of an incident: the raw material of learning."""

    incident_id: int
    name: str
    """``outcome``, ``approval``, ``rejection``, ``self_healed``, ``feedback``."""
    value: str
    given_by: str
    given_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelVersion:
    """One saved model file. Only a file whose SHA-256 stands here is ever loaded."""

    name: str
    version: str
    path: str
    """Relative to ``models_path``."""
    sha256: str
    library: str
    """What it was trained with, e.g. ``scikit-learn 1.7.2``; another one refuses to load it."""
    trained_at: datetime
    metrics: Mapping[str, Any] = field(default_factory=dict)
    promoted_at: datetime | None = None
    """When it became champion; ``None`` for a challenger."""
    withdrawn_at: datetime | None = None
    """When it was rolled back; it does not come back by itself."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file of its folder, by name."""
