"""Every ``[oncall]`` option as one small typed function; ``OPTIONS`` is the same list for Airflow's own config docs.

Nothing is read at import. Without the wheel Airflow does not know our defaults, so every read passes its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_oncall.errors import BadSetting

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

SECTION = "oncall"
MODES = ("shadow", "ask", "auto")
ON, OFF = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


class Option(NamedTuple):
    """One option as ``airflow config list`` shows it."""

    default: str
    type: str
    description: str
    example: str | None = None


OPTIONS: dict[str, Option] = {
    "mode": Option(
        "ask",
        "string",
        "shadow: decide and record only. ask: a person approves every repair. auto: repair without asking where the policy allows. "
        "A `mode` in policy.yaml, of the whole or of an override, comes before this one.",
    ),
    "conn_id": Option("oncall_db", "string", "Airflow connection of the incident store. Not defined: SQLite under AIRFLOW_HOME/oncall."),
    "airflow_conn_id": Option(
        "oncall_airflow", "string", "Airflow connection (HTTP) through which the system reads and acts over Airflow's public REST API."
    ),
    "include_path": Option(
        "",
        "string",
        "Folder of policy.yaml and rules. Empty: AIRFLOW_HOME/include/oncall, else the shipped files.",
        "/opt/airflow/include/oncall",
    ),
    "models_path": Option(
        "",
        "string",
        "Folder of learned models, or any object storage URL that Airflow can reach. Empty: AIRFLOW_HOME/models.",
        "s3://aws_default@bucket/oncall/models",
    ),
    "train_min_rows": Option("200", "integer", "Training is skipped with fewer examples than this."),
    "train_new_labels": Option("100", "integer", "This many new labels start a training before its week is over. 0: never."),
    "train_approval": Option("False", "boolean", "A person approves in Airflow's UI before a newly trained model is promoted."),
    "rollback_margin": Option(
        "0.1",
        "float",
        "A champion whose repairs succeed this much less often than those under its predecessor is rolled back (0.1: ten points).",
    ),
    "spool_path": Option("", "string", "Folder for failures noticed while the store was down. Empty: AIRFLOW_HOME/oncall/spool."),
    "spool_max_mb": Option("64", "integer", "The spool never grows beyond this many megabytes; what does not fit is logged."),
    "ignore_dags": Option("", "string", "Regular expression of dag_ids whose failures are not watched (matched whole).", "sandbox_.*"),
    "approval_timeout": Option(
        "43200", "integer", "Seconds a question waits for an answer; then nothing is done and the incident is escalated."
    ),
    "verify_timeout": Option("86400", "integer", "Seconds an action's task instance is followed before its outcome counts as expired."),
    "lookback": Option("3600", "integer", "Seconds before the first sweep in which failures still become incidents."),
    "escalation_notifiers": Option(
        "[]",
        "string",
        "JSON list of notifiers for escalations.",
        '[{"classpath": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "kwargs": {"to": "oncall@example.com"}}]',
    ),
    "metrics_public": Option("False", "boolean", "Anybody may read GET /oncall/metrics. False: who may read the DAG oncall_triage."),
    "llm_conn_id": Option(
        "",
        "string",
        "Connection of apache-airflow-providers-common-ai whose language model is asked about failures of unknown cause, for people to "
        "read. Empty: none is asked.",
        "pydanticai_default",
    ),
    "llm_per_day": Option("100", "integer", "The language model is asked at most so often in 24 hours, and about each failure once."),
    "llm_timeout": Option("20", "integer", "Seconds that the language model may take for an answer; a triage run asks once, at its end."),
    "policy_hook": Option(
        "False",
        "boolean",
        "Add to every task by cluster policy what ties it to its failures: the failure callback (only needed where the plugin's listener "
        "cannot run), and for Spark operators and KubernetesPodOperator properties and annotations that name the task instance, by which "
        "what their engines log is known to be of it.",
    ),
}


def _raw(name: str) -> str:
    from airflow.configuration import conf

    return str(conf.get(SECTION, name, fallback=OPTIONS[name].default))


def _seconds(name: str) -> int:
    raw = _raw(name)
    if not raw.strip().isdigit():
        raise BadSetting(f"[{SECTION}] {name} has value {raw!r}; it must be a whole number of seconds, e.g. {OPTIONS[name].default}")
    return int(raw)


def _number(name: str) -> int:
    raw = _raw(name)
    if not raw.strip().isdigit():
        raise BadSetting(f"[{SECTION}] {name} has value {raw!r}; it must be a whole number, e.g. {OPTIONS[name].default}")
    return int(raw)


def _flag(name: str) -> bool:
    # Raises nothing: an error in a cluster policy would break every DAG. What is neither is off, and problems() names it.
    return _raw(name).strip().lower() in ON


def problems() -> Iterator[str]:
    """What is wrong with the values of options, each named with its value; nothing where all can be used."""
    parsed = (mode, train_min_rows, train_new_labels, rollback_margin, spool_max_bytes, approval_timeout, verify_timeout, lookback)
    for read in (*parsed, llm_per_day, llm_timeout, escalation_notifiers, lambda: ignores("")):
        try:
            read()
        except BadSetting as error:
            yield str(error)
    for name in (name for name, option in OPTIONS.items() if option.type == "boolean"):
        raw = _raw(name)
        if raw.strip().lower() not in ON | OFF:
            yield f"[{SECTION}] {name} has value {raw!r}; it must be True or False, and counts as False"


def airflow_home() -> Path:
    """AIRFLOW_HOME."""
    from airflow.configuration import AIRFLOW_HOME

    return Path(AIRFLOW_HOME)


def mode() -> str:
    """[oncall] mode. One of shadow, ask, auto."""
    value = _raw("mode").strip().lower()
    if value not in MODES:
        raise BadSetting(f"[{SECTION}] mode has value {value!r}; it must be one of {', '.join(MODES)}")
    return value


def conn_id() -> str:
    """[oncall] conn_id."""
    return _raw("conn_id")


def airflow_conn_id() -> str:
    """[oncall] airflow_conn_id."""
    return _raw("airflow_conn_id")


def include_paths() -> list[Path]:
    """[oncall] include_path. Folders of operator-owned data, first one wins; shipped defaults come last."""
    package = Path(__file__).parent
    configured = _raw("include_path")
    own = Path(configured) if configured else airflow_home() / "include" / SECTION
    shipped = [package / "include" / SECTION, package.parents[1] / "include" / SECTION]
    return [own, *(path for path in shipped if path != own)]


def shipped_include() -> Path:
    """Folder of the shipped defaults: inside the wheel, or beside ``plugins/`` in a folder install."""
    for path in include_paths()[1:]:
        if path.is_dir():
            return path
    return include_paths()[0]


def models_path() -> Path | ObjectStoragePath:
    """[oncall] models_path."""
    configured = _raw("models_path")
    if not configured:
        return airflow_home() / "models"
    if "://" not in configured or configured.startswith("file://"):
        return Path(configured.removeprefix("file://"))
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(configured)


def train_min_rows() -> int:
    """[oncall] train_min_rows."""
    return _number("train_min_rows")


def train_new_labels() -> int:
    """[oncall] train_new_labels."""
    return _number("train_new_labels")


def train_approval() -> bool:
    """[oncall] train_approval."""
    return _flag("train_approval")


def rollback_margin() -> float:
    """[oncall] rollback_margin, from 0 to 1."""
    raw = _raw("rollback_margin")
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadSetting(f"[{SECTION}] rollback_margin has value {raw!r}; it must be a number from 0 to 1, e.g. 0.1")
    return value


def spool_path() -> Path:
    """[oncall] spool_path."""
    configured = _raw("spool_path")
    return Path(configured) if configured else airflow_home() / SECTION / "spool"


def spool_max_bytes() -> int:
    """[oncall] spool_max_mb, in bytes."""
    return _seconds("spool_max_mb") * 1024 * 1024


def ignores(dag_id: str) -> bool:
    """[oncall] ignore_dags. Whether failures of this DAG are not watched."""
    pattern = _raw("ignore_dags")
    try:
        return bool(pattern) and re.fullmatch(pattern, dag_id) is not None
    except re.error as error:
        raise BadSetting(f"[{SECTION}] ignore_dags has value {pattern!r}; not a regular expression: {error}") from error


def approval_timeout() -> int:
    """[oncall] approval_timeout, in seconds."""
    return _seconds("approval_timeout")


def verify_timeout() -> int:
    """[oncall] verify_timeout, in seconds."""
    return _seconds("verify_timeout")


def lookback() -> int:
    """[oncall] lookback, in seconds."""
    return _seconds("lookback")


def metrics_public() -> bool:
    """[oncall] metrics_public."""
    return _flag("metrics_public")


def llm_conn_id() -> str:
    """[oncall] llm_conn_id. Empty: no language model is asked."""
    return _raw("llm_conn_id").strip()


def llm_per_day() -> int:
    """[oncall] llm_per_day."""
    return _number("llm_per_day")


def llm_timeout() -> int:
    """[oncall] llm_timeout, in seconds."""
    return _seconds("llm_timeout")


def policy_hook() -> bool:
    """[oncall] policy_hook."""
    return _flag("policy_hook")


def escalation_notifiers() -> list[dict[str, Any]]:
    """[oncall] escalation_notifiers. Each has ``classpath`` and optional ``kwargs``."""
    # The value holds what notifiers sign in with, so messages never quote it.
    try:
        value = json.loads(_raw("escalation_notifiers") or "[]")
    except json.JSONDecodeError as error:
        raise BadSetting(f"[{SECTION}] escalation_notifiers is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(value, list) or not all(isinstance(item, dict) and "classpath" in item for item in value):
        raise BadSetting(f"[{SECTION}] escalation_notifiers must be a JSON list of objects, each with a classpath")
    return value
