"""Where it should become better: what a report advises, and from which figures on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_oncall.incident import UNKNOWN
from airflow_oncall.store.rankings import Handled, Noisy

ENOUGH = 5
"""Of fewer actions or decisions nothing is concluded."""
LOW_SUCCESS, MOST_TO_PEOPLE, MANY_UNKNOWN, POORLY_CALIBRATED = 0.5, 0.8, 0.2, 0.15


@dataclass(frozen=True)
class AdviceBasis:
    """What advice rests on."""

    opened: int
    by_category: dict[str, int]
    handled: Sequence[Handled]
    flapping: Sequence[Noisy]
    calibration_error: float | None
    waiting: int
    """Questions that have waited for half a day."""
    labels: dict[str, int]
    """What people said, by kind."""


def advice(standing: AdviceBasis) -> list[str]:
    """Most urgent first."""
    return [line for part in (_questions, _repairs, _escalations, _unknown, _flapping, _learning) for line in part(standing)]


def _questions(standing: AdviceBasis) -> Iterator[str]:
    if standing.waiting:
        yield (
            f"{standing.waiting} questions have waited for more than 12 hours: are those told who may answer them (routes and approvers "
            "of the policy)?"
        )
    if unanswered := standing.labels.get("no_answer"):
        yield f"{unanswered} questions were answered by nobody in time; their repairs were not made."


def _repairs(standing: AdviceBasis) -> Iterator[str]:
    for one in standing.handled:
        if one.tried >= ENOUGH and one.helped / one.tried < LOW_SUCCESS:
            yield f"Repairs of {one.category} seldom help ({one.helped} of {one.tried}): raise its threshold or give it another action."


def _escalations(standing: AdviceBasis) -> Iterator[str]:
    for one in sorted(standing.handled, key=lambda one: -one.escalated):
        if one.category not in ("", UNKNOWN) and one.escalated >= ENOUGH and one.escalated / one.decided >= MOST_TO_PEOPLE:
            yield (
                f"{one.category} is nearly always left to people ({one.escalated} of {one.decided} decisions): a runbook or an entry of "
                "knowledge may help."
            )


def _unknown(standing: AdviceBasis) -> Iterator[str]:
    number = standing.by_category.get(UNKNOWN, 0)
    if number >= ENOUGH and number / standing.opened >= MANY_UNKNOWN:
        share = number / standing.opened
        yield f"{share:.0%} of the incidents have no known cause: tell it with `airflow oncall feedback`, or add a rule."


def _flapping(standing: AdviceBasis) -> Iterator[str]:
    if standing.flapping:
        most = standing.flapping[0]
        others = f", and so did {len(standing.flapping) - 1} others" if len(standing.flapping) > 1 else ""
        yield (
            f"{most.dag_id}.{most.task_id} failed and recovered {most.recovered} times{others}: what helps each time does not mend the "
            "cause."
        )


def _learning(standing: AdviceBasis) -> Iterator[str]:
    if (error := standing.calibration_error) is not None and error >= POORLY_CALIBRATED:
        yield f"Expected and seen success of actions differ by {error:.0%} on average: train again, or watch the thresholds."
    if standing.opened >= ENOUGH and "category" not in standing.labels:
        yield "Nobody said whether a category was right: `airflow oncall feedback` is what training learns most from."
