"""Whether the world has moved away from what the champion was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_oncall.store.labels import Labels, VerifiedAction

LEAST_INCIDENTS = 50
"""Fewer of them say nothing about shares."""
LEAST_ACTIONS = 20
MIX, UNSEEN, FALL = 0.25, 0.5, 0.15
"""A population stability index above which a mix counts as another one; shares above which the others count."""
_RARE = 0.005


@dataclass(frozen=True)
class Drift:
    """Figures since a moment, against those before it; ``None`` where there is too little to tell."""

    mix: float | None
    """Population stability index of the category mix."""
    unseen: float | None
    """Share of incidents whose fingerprint had never been seen."""
    success_before: float | None
    success_since: float | None

    @property
    def reasons(self) -> tuple[str, ...]:
        """What counts as drift, in words; empty where nothing does."""
        said = []
        if self.mix is not None and self.mix > MIX:
            said.append(f"the mix of categories moved (population stability index {self.mix:.2f} > {MIX})")
        if self.unseen is not None and self.unseen > UNSEEN:
            said.append(f"{self.unseen:.0%} of the incidents have a fingerprint that was never seen (> {UNSEEN:.0%})")
        if self.success_before is not None and self.success_since is not None and self.success_before - self.success_since > FALL:
            said.append(f"repairs succeed in {self.success_since:.0%}, before in {self.success_before:.0%}")
        return tuple(said)


def measure_drift(labels: Labels, start: datetime, since: datetime, until: datetime) -> Drift:
    """What happened from ``since`` to ``until`` against what happened from ``start`` to ``since``."""
    expected, actual = labels.categories(start, since), labels.categories(since, until)
    fresh, count = labels.unseen(since)
    enough = count >= LEAST_INCIDENTS and sum(expected.values()) >= LEAST_INCIDENTS
    actions = labels.verified_actions(start)
    return Drift(
        mix=round(stability_index(expected, actual), 4) if enough and sum(actual.values()) >= LEAST_INCIDENTS else None,
        unseen=round(fresh / count, 4) if enough else None,
        success_before=success_rate([action for action in actions if action.at <= since]),
        success_since=success_rate([action for action in actions if since < action.at <= until]),
    )


def stability_index(expected: Mapping[str, int], actual: Mapping[str, int]) -> float:
    """Population stability index of two mixes: 0 for the same, above 0.25 for another population. Rare shares count as 0.5 %."""

    def share(counts: Mapping[str, int], name: str) -> float:
        return max(counts.get(name, 0) / max(sum(counts.values()), 1), _RARE)

    pairs = [(share(expected, name), share(actual, name)) for name in {*expected, *actual}]
    return sum((now - before) * math.log(now / before) for before, now in pairs)


def success_rate(actions: Sequence[VerifiedAction]) -> float | None:
    """Share of actions that resolved their incident; ``None`` for fewer than :data:`LEAST_ACTIONS`."""
    if len(actions) < LEAST_ACTIONS:
        return None
    return round(sum(action.resolved for action in actions) / len(actions), 4)
