"""Which of competing actions an incident gets, which incidents are left out to measure the gain, and what came of it. Pure.

Every draw is a hash of the task instance: the same one gets the same answer after a crash, at every look and on every worker
(by ``thompson`` until another result comes in).
Only single task instances are drawn: the members of a storm share one cause, so that their ends are no independent evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import NamedTuple

from airflow_oncall.act.decide import HOLDOUT, RERUNS
from airflow_oncall.act.effective import Effective
from airflow_oncall.act.policy import NEVER_ALONE, CategoryRule, Holdout
from airflow_oncall.incident import ActionKind, Incident, Kind
from airflow_oncall.store.experiments import HASH, ArmCounts, Experiment

REPAIRED = f"{HOLDOUT}/repaired"
"""Arm of the repairs that were in the same draw and not left out: what the left-out ones are compared with."""
LEFT_OUT = timedelta(hours=1)
"""So long nothing is done to a left-out incident; one that still stands failed is then decided as any other."""
NO_ARMS = NEVER_ALONE | {str(ActionKind.ESCALATE), str(ActionKind.PAUSE_DAG)}
"""Actions that repair nothing, so that their success would mean nothing."""
DRAWS = 20_000
"""Draws behind an interval: its ends are then right to about half a percent."""


@dataclass(frozen=True)
class Draw:
    """What was drawn for an incident; empty where nothing was."""

    action: str | None = None
    """In place of the rule's action."""
    arm: str = ""
    is_left_out: bool = False


class ArmEstimate(NamedTuple):
    """An arm and what is known of its chance: the mean and the middle 95 % of its Beta posterior, and P(it is the best)."""

    arm: str
    counts: ArmCounts
    mean: float
    low: float
    high: float
    best: float


class Difference(NamedTuple):
    """How much more often one of two helped, with the middle 95 % of what is possible."""

    mean: float
    low: float
    high: float


def arms_of(rule: CategoryRule) -> tuple[str, ...]:
    """Actions that an experiment about this rule's category may try, the rule's own first."""
    return tuple(dict.fromkeys(str(kind) for kind in (rule.action, *rule.alternatives) if kind not in NO_ARMS))


def is_drawn(incident: Incident) -> bool:
    """Whether anything may be drawn for this incident."""
    return incident.kind is Kind.TASK and incident.storm_id is None


def experimental(experiment: Experiment, ref_key: str, rule: CategoryRule, results: Mapping[str, ArmCounts]) -> Draw:
    """The arm of a running experiment; nothing where the policy in force allows fewer than two of its arms.

    By ``hash`` all arms get the same share. By ``thompson`` each gets a share as large as the chance that it is the best,
    as far as ``results`` tell: one number is drawn from the Beta posterior of each, and the highest wins.
    """
    arms = [arm for arm in experiment.arms if arm in arms_of(rule)]
    if len(arms) < 2:
        return Draw()
    if experiment.assignment == HASH:
        arm = arms[int(_share(experiment.name, ref_key) * len(arms))]
    else:
        rng = Random(f"{experiment.name}/{ref_key}")  # noqa: S311  # chance, no secret
        drawn = {one: _posterior(rng, results.get(one, ArmCounts())) for one in arms}
        arm = max(drawn, key=lambda one: drawn[one])
    return Draw(arm, f"{experiment.name}/{arm}")


def held_out(incident: Incident, category: str, kind: str, found: Effective, *, is_critical: bool) -> Draw:
    """Whether a repair is left out to measure the gain; nothing where it is in no such draw.

    Drawn are first decisions in mode ``auto`` about the policy's categories, for re-runs only: those can be made up for
    an hour later. Never what is critical.
    """
    holdout: Holdout = found.policy.holdout
    apart = is_critical or found.always_ask or incident.decisions or found.mode != "auto"
    if apart or not holdout.share or category not in holdout.categories or kind not in RERUNS:
        return Draw()
    if _share(HOLDOUT, incident.ref.key) < holdout.share:
        return Draw(is_left_out=True)
    return Draw(arm=REPAIRED)


def standings(results: Mapping[str, ArmCounts]) -> list[ArmEstimate]:
    """What is known of each arm, from a uniform prior; the most promising first."""
    samples = {arm: _sample(counts, number) for number, (arm, counts) in enumerate(results.items())}
    wins = dict.fromkeys(samples, 0)
    for drawn in zip(*samples.values(), strict=True):
        wins[max(zip(drawn, samples, strict=True))[1]] += 1
    found = [ArmEstimate(arm, counts, *_middle(samples[arm]), wins[arm] / DRAWS) for arm, counts in results.items()]
    return sorted(found, key=lambda one: -one.mean)


def difference(one: ArmCounts, other: ArmCounts) -> Difference:
    """How much more often ``one`` succeeds than ``other``."""
    return Difference(*_middle([a - b for a, b in zip(_sample(one, 0), _sample(other, 1), strict=True)]))


def _share(*words: str) -> float:
    """A number from 0 to 1 that these words always give, evenly spread over all words."""
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8], "big") / 2**64


def _posterior(rng: Random, counts: ArmCounts) -> float:
    return rng.betavariate(1 + counts.successes, 1 + counts.failures)


def _sample(counts: ArmCounts, seed: int) -> list[float]:
    rng = Random(seed)  # noqa: S311  # chance, no secret
    return [_posterior(rng, counts) for _ in range(DRAWS)]


def _middle(sample: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(sample)
    return sum(ordered) / DRAWS, ordered[int(0.025 * DRAWS)], ordered[int(0.975 * DRAWS)]
