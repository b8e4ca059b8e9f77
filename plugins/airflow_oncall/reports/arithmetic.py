"""What figures come to: shares, means, and what they say of repairs. Pure; pages and reports reckon alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from airflow_oncall.act.adaptation import interval
from airflow_oncall.incident import State
from airflow_oncall.store.figures import CalibrationCell, Counted, Opened

DIGITS = 4


class Day(NamedTuple):
    """One day, in UTC."""

    day: str
    opened: int
    resolved: int
    self_healed: int
    escalated: int


class ActionShare(NamedTuple):
    """How one kind of action ended."""

    action: str
    helped: int
    tried: int
    low: float
    high: float
    """95 % interval of the share that helped."""


class Bin(NamedTuple):
    """Actions whose probabilities fell into the same tenth."""

    expected: float
    """How many should have helped: the sum of their probabilities."""
    helped: int
    tried: int


class Minutes(NamedTuple):
    """Mean minutes from the failure noticed to the success seen; ``None`` where there was none."""

    with_action: float | None
    without: float | None


def share(part: int, whole: int) -> float | None:
    """``None`` where there is nothing to divide by."""
    return round(part / whole, DIGITS) if whole else None


def counts_by(opened: Iterable[Opened], name: str) -> dict[str, int]:
    """Counts by one of the names, the largest first; what is not known yet is left out."""
    counts: Counter[str] = Counter()
    for one in opened:
        counts[getattr(one, name)] += one.number
    return {value: number for value, number in counts.most_common() if value}


def repair_rate(tried: Sequence[CalibrationCell]) -> float | None:
    """Of the actions whose end was seen, the share that helped."""
    return share(sum(one.successes for one in tried), sum(one.number for one in tried))


def per_action(tried: Iterable[CalibrationCell]) -> list[ActionShare]:
    """How the actions of each kind ended, by name."""
    kinds = _sums(tried, "action")
    return [ActionShare(action, one.helped, one.tried, *interval(one.helped, one.tried)) for action, one in kinds.items()]


def per_bin(tried: Iterable[CalibrationCell]) -> list[Bin]:
    """What was expected of actions and what was seen, by probability, the lowest first."""
    return list(_sums(tried, "bin").values())


def calibration_error(tried: Iterable[CalibrationCell]) -> float:
    """Expected calibration error: by tenths of the probability, the distance of expected and observed, weighted by numbers."""
    bins = per_bin(tried)
    total = sum(one.tried for one in bins)
    return sum(abs(one.expected - one.helped) for one in bins) / total if total else 0.0


def mean_minutes(counted: Counted) -> Minutes:
    """How long it took until a success, with an action of ours and without."""
    resolved = [(one.number, one.minutes) for one in counted.closed if one.state == State.RESOLVED]
    repaired = [(one.resolved, one.minutes) for one in counted.tried]
    return Minutes(_mean(repaired), _mean([*resolved, *((-number, -minutes) for number, minutes in repaired)]))


def per_day(counted: Counted, first: date, last: date) -> list[Day]:
    """Oldest first, no day left out."""
    counts = Counter({(day, "opened"): number for day, number in counted.opened_per_day.items()})
    counts.update({(one.day, one.state): one.number for one in counted.closed})
    counts.update({(one.day, "escalated"): one.number for one in counted.told})
    days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    return [Day(day, *(counts[day, what] for what in ("opened", "resolved", "self_healed", "escalated"))) for day in days]


def _sums(tried: Iterable[CalibrationCell], name: str) -> dict[Any, Bin]:
    sums: dict[Any, Bin] = {}
    for one in tried:
        expected, helped, number = sums.get(getattr(one, name), Bin(0.0, 0, 0))
        sums[getattr(one, name)] = Bin(expected + one.expected, helped + one.successes, number + one.number)
    return dict(sorted(sums.items()))


def _mean(counted: Sequence[tuple[int, float]]) -> float | None:
    """Minutes of one, from numbers and the minutes that all took."""
    number, minutes = sum(one[0] for one in counted), sum(one[1] for one in counted)
    return round(minutes / number, 1) if number > 0 else None
