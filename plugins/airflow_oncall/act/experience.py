"""What earlier outcomes say about an action for one incident. Pure.

    the same failure (fingerprint)   counts in full
    else the same task               counts at most as TASK_CAP outcomes
    else the same category           counts at most as CATEGORY_CAP outcomes, and never for a re-run

The narrowest level with enough outcomes speaks alone. A wider one is about other failures, so it may correct a model's
word, never overrule it. Whether a *re-run* helps depends on the failure itself, which the model read: the share of a whole
category is measured over the ones that seemed worth it, and would lift those that do not.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_oncall.act.economics import PRIOR_WEIGHT, Statistic
from airflow_oncall.store.outcomes import CATEGORY, FINGERPRINT, LEVELS, TASK, Decayed

ENOUGH = 2.0
"""Outcomes below which a level leaves the word to the next wider one."""
TASK_CAP = 2 * PRIOR_WEIGHT
CATEGORY_CAP = PRIOR_WEIGHT
"""A whole category counts no more than the model's word itself."""
_CAPS = {FINGERPRINT: float("inf"), TASK: TASK_CAP, CATEGORY: CATEGORY_CAP}


def statistic(seen: Mapping[str, Decayed], *, is_rerun: bool) -> Statistic | None:
    """What outcomes of one kind of action, by level, say; ``None`` where nothing that counts was seen."""
    levels = [level for level in LEVELS if level in seen and not (is_rerun and level == CATEGORY)]
    if not levels:
        return None
    level = next((one for one in levels if seen[one].total >= ENOUGH), levels[0])
    found = seen[level]
    factor = min(1.0, _CAPS[level] / found.total) if found.total else 0.0
    return Statistic(round(found.successes * factor, 3), round(found.failures * factor, 3), level)
