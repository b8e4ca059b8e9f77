"""The kill switch: while it is on, nothing is repaired and nobody is asked; failures are noticed, explained and told as ever.

On through the command line (kept in the store), or through the Airflow Variable ``oncall_paused``, which people can set in
Airflow's UI. It is read before every act, so that it works within the tick that runs.
"""

from __future__ import annotations

from airflow_oncall.errors import BadSetting
from airflow_oncall.store.sql import Store

VARIABLE = "oncall_paused"
OFF = frozenset({"", "0", "false", "no", "off", "none"})
"""Values of the Variable that let repairs go on; any other word stops them: who writes something there means it."""
LOOK_AGAIN_SECONDS = 60.0


def why_paused(store: Store) -> str:
    """Why nothing may be repaired now; empty while repairs go on."""
    made = store.switch.get()
    if made:
        why = f" ({made.reason})" if made.reason else ""
        return f"Repairs are paused by {made.by} since {made.at:%Y-%m-%d %H:%M} UTC{why}; `airflow oncall resume` lets them go on"
    try:
        said = read_variable()
    except BadSetting as error:
        return str(error)
    paused = f"Repairs are paused by the Airflow Variable {VARIABLE} ({said[:100]}); delete it, or set it to false, and they go on"
    return "" if said.lower() in OFF else paused


def read_variable() -> str:
    """What the Variable says; empty where there is none. Raises ``BadSetting`` where nobody can tell, which counts as paused."""
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        return str(Variable.get(VARIABLE, default="") or "").strip()
    except AirflowRuntimeError as error:
        raise BadSetting(f"Repairs are paused: the Airflow Variable {VARIABLE} cannot be read ({error})") from error
