"""Knowledge that people showed by what they did: failures of one kind that they resolved again and again. Pure.

What is proposed here counts for nothing until a person confirms it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow_oncall.incident import CATEGORIES
from airflow_oncall.store.knowledge import Resolution, Tally

REPEATED = 3
"""Occasions on which people resolved incidents of one fingerprint, from which an entry is proposed."""
AGREED = 2 / 3
"""Share of them that must be of one category."""
NAMED = 5
"""People and incidents that the notes name."""
APART = timedelta(hours=1)
"""What fails so soon after the one before was resolved, or even earlier, is the same occasion."""


@dataclass(frozen=True)
class Proposal:
    """One kind of failure that people know how to resolve."""

    name: str
    fingerprint: str
    category: str
    actions: tuple[str, ...]
    """What they approved and what helped, most often used first; empty where they did everything by hand."""
    notes: str
    newest: int
    """Incident whose text stands for them all."""
    resolved: int
    """Occasions."""


def find_proposals(resolutions: Sequence[Resolution], known: Collection[str]) -> list[Proposal]:
    """Proposals from resolutions (oldest first), most often resolved first; ``known``: fingerprints that had an entry before."""
    by_fingerprint: dict[str, list[Resolution]] = {}
    for one in resolutions:
        if one.fingerprint and one.fingerprint not in known:
            occasions = by_fingerprint.setdefault(one.fingerprint, [])
            if occasions and one.opened_at < occasions[-1].at + APART:
                occasions.pop()  # the newest stands for all of an outage, or of a storm
            occasions.append(one)
    found = [_proposal(fingerprint, repeated) for fingerprint, repeated in by_fingerprint.items() if len(repeated) >= REPEATED]
    return sorted((one for one in found if one), key=lambda one: -one.resolved)


def belief(tally: Tally | None) -> float:
    """Confidence in an action that ended so: the mean of a Beta distribution that begins with one success and one failure."""
    seen = tally or Tally(0, 0)
    return round((seen.successes + 1) / (seen.successes + seen.failures + 2), 4)


def _proposal(fingerprint: str, repeated: Sequence[Resolution]) -> Proposal | None:
    ((category, agreed),) = Counter(one.category for one in repeated).most_common(1)
    if category not in CATEGORIES or agreed < AGREED * len(repeated):
        return None
    actions = Counter(one.action for one in repeated if one.action)
    return Proposal(
        name=f"{category.replace('_', '-')}-{fingerprint[:16].lower()}",
        fingerprint=fingerprint,
        category=category,
        actions=tuple(action for action, _ in actions.most_common()),
        notes=_notes(repeated),
        newest=repeated[-1].incident_id,
        resolved=len(repeated),
    )


def _notes(repeated: Sequence[Resolution]) -> str:
    people = ", ".join(list(dict.fromkeys(one.by for one in repeated))[:NAMED])
    numbers = ", ".join(str(one.incident_id) for one in repeated[-NAMED:])
    by_hand = sum(one.action is None for one in repeated)
    how = f", {by_hand} of them by hand" if by_hand else ""
    return f"Proposed: on {len(repeated)} occasions this was resolved by {people}{how}; the newest incidents are {numbers}."
