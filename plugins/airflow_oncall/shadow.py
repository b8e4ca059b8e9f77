"""The shadow report: what would have been done, how often it would have been right, and what it would have saved.

Nothing was done, so this is hindsight: the decision is compared with how the *next* re-run of the same task instance ended,
whoever started it, with its retries. That is close to what a re-run of ours would have met, and it is not the same, see :data:`UNKNOWABLE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from airflow_oncall.act.adaptation import interval
from airflow_oncall.act.decide import RERUNS
from airflow_oncall.incident import Verdict
from airflow_oncall.store.hindsight import FAILED, NOT_RUN, SUCCEEDED, LeftAlone
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

REPAIRS, ASKS, ESCALATES, WAITS = "repair", "ask", "escalate", "wait for a guard"
UNKNOWABLE = (
    "Who ran it again may have mended the cause first: then it succeeded, and a re-run of ours would have failed.",
    "A re-run of ours would have come earlier, when the trouble may still have been on.",
    "What nobody ran again, and what would have been repaired by anything but a re-run, says nothing.",
    "Only the first decision about each failure counts: had it been carried out, there would have been no second one like it.",
    "Times to repair are as triage saw them: a success without us is noticed up to 15 minutes late.",
)
"""What the figures cannot tell."""


@dataclass(frozen=True)
class Hits:
    """Decisions of one kind, by how the next re-run ended."""

    decisions: int
    succeeded: int
    failed: int
    not_known: int
    share: float | None
    """Of the re-runs that are known, those that succeeded."""
    low: float
    high: float
    """95 % interval of the share, by Wilson."""
    expected: float | None
    """The share that the decisions themselves said, where the re-run is known."""


@dataclass(frozen=True)
class Savings:
    """What repairs would have saved and cost, as far as it is known."""

    runs: int
    """Repairs whose re-run succeeded without us."""
    minutes_without: float | None
    """Median time from the failure to the success that was seen."""
    minutes_with: float | None
    """Median of what it would have been: to the decision, its wait, one attempt."""
    hours_saved: float
    """Sum of the differences."""
    attempt_minutes_spent: float
    """Attempts of repairs whose re-run failed."""
    attempt_minutes_saved: float
    """Tries that failed although the decision was to leave it to a person."""


@dataclass(frozen=True)
class ShadowReport:
    """All of it."""

    since: datetime
    until: datetime
    failures: int
    """Task instances that were decided about in mode ``shadow``."""
    still_open: int
    self_healed: int
    """Failures that Airflow's own retries ended; nothing would have been done."""
    would: dict[str, Hits]
    by_category: dict[str, Hits]
    """Repairs only."""
    savings: Savings

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"not_known": list(UNKNOWABLE)}


def shadow_report(store: Store, days: int) -> ShadowReport:
    """The report over the newest so many days."""
    until = now()
    since = until - timedelta(days=days)
    found = [one for one in store.hindsight.left_alone(since) if one.would_be]
    repairs = [one for one in found if _would(one) == REPAIRS]
    categories = sorted({one.category for one in repairs})
    return ShadowReport(
        since=since,
        until=until,
        failures=len(found),
        still_open=sum(one.is_open for one in found),
        self_healed=store.hindsight.self_healed(since),
        would={name: _hits([one for one in found if _would(one) == name]) for name in (REPAIRS, ASKS, ESCALATES, WAITS)},
        by_category={category: _hits([one for one in repairs if one.category == category]) for category in categories},
        savings=_savings(found),
    )


def _would(one: LeftAlone) -> str:
    if one.is_held:
        return WAITS
    return {Verdict.ASK: ASKS, Verdict.AUTO: REPAIRS, Verdict.WAIT: REPAIRS}.get(Verdict(one.would_be), ESCALATES)


def _rerun(one: LeftAlone) -> str:
    """How it ended; not known where the action is no re-run, which is all that was seen."""
    return one.rerun if one.action in RERUNS or _would(one) in (ESCALATES, WAITS) else NOT_RUN


def _hits(decided: Sequence[LeftAlone]) -> Hits:
    known = [one for one in decided if _rerun(one) != NOT_RUN]
    succeeded = sum(one.rerun == SUCCEEDED for one in known)
    low, high = interval(succeeded, len(known))
    return Hits(
        decisions=len(decided),
        succeeded=succeeded,
        failed=len(known) - succeeded,
        not_known=len(decided) - len(known),
        share=round(succeeded / len(known), 4) if known else None,
        low=round(low, 4),
        high=round(high, 4),
        expected=round(sum(one.probability for one in known) / len(known), 4) if known else None,
    )


def _savings(found: Sequence[LeftAlone]) -> Savings:
    repairs = [one for one in found if _would(one) == REPAIRS]
    right = [(one, one.ended_at) for one in repairs if _rerun(one) == SUCCEEDED and one.ended_at]
    wrong = [one for one in repairs if _rerun(one) == FAILED]
    without = [_minutes(ended_at - one.failed_at) for one, ended_at in right]
    ours = [_minutes(one.decided_at - one.failed_at) + one.wait_seconds / 60 + (one.minutes or 0.0) for one, _ in right]
    saved = sum(max(theirs - mine, 0.0) for theirs, mine in zip(without, ours, strict=True))
    return Savings(
        runs=len(right),
        minutes_without=round(median(without), 1) if without else None,
        minutes_with=round(median(ours), 1) if ours else None,
        hours_saved=round(saved / 60, 2),
        attempt_minutes_spent=round(sum(one.attempts * (one.minutes or 0.0) for one in wrong), 1),
        attempt_minutes_saved=round(sum(one.later_minutes for one in found if _would(one) == ESCALATES), 1),
    )


def _minutes(span: timedelta) -> float:
    return max(span, timedelta(0)) / timedelta(minutes=1)
