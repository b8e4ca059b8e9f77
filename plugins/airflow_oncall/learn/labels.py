"""The store's labels as examples: one a fingerprint, whose truth is what the most trusted labels say together.

A person who names the cause outranks everything. Whether a re-run helps is said by people who judged the action afterwards,
then by what was seen to happen, then by approvals and rejections, which are given before anybody can know.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_oncall.incident import CATEGORIES, NO_INCIDENT, ActionKind, OutcomeKind
from airflow_oncall.learn.calibration import Repair
from airflow_oncall.learn.dataset import Example
from airflow_oncall.store.labels import FEEDBACK, REMEMBERED, Fact, Labels, VerifiedAction
from airflow_oncall.triage.memory import HUMAN, OUTCOME
from airflow_oncall.triage.models import Circumstances, Remedy

NAMED, JUDGED, SEEN = 5.0, 3.0, 2.0
"""Weights against the corpus' 1.0: a person named the cause; a person judged the action; only the outcome was seen."""


@dataclass(frozen=True)
class Harvest:
    """What the labels of the store teach, and what they do not."""

    examples: tuple[Example, ...]
    conflicts: tuple[str, ...] = ()
    """Fingerprints about whose cause people disagree; the newest word counts."""
    without_cause: int = 0
    """Fingerprints with labels, but nobody and no rule knows their cause."""
    without_text: int = 0


def harvest(labels: Labels) -> Harvest:
    """Every label that training learns from."""
    known: dict[str, list[Fact]] = defaultdict(list)
    for fact in labels.facts():
        known[fact.fingerprint or f"incident-{fact.incident_id}"].append(fact)
    truths = {fingerprint: truth for fingerprint, facts in known.items() if (truth := _truth(facts))}
    texts = labels.texts([truth.incident_id for truth in truths.values()])
    told = {fingerprint: truth for fingerprint, truth in truths.items() if texts.get(truth.incident_id, "").strip()}
    examples = tuple(truth.example(fingerprint, texts[truth.incident_id]) for fingerprint, truth in told.items())
    conflicts = tuple(_conflicts(known))
    return Harvest(examples, conflicts, len(known) - len(truths), len(truths) - len(told))


def repairs(actions: Sequence[VerifiedAction]) -> Iterator[Repair]:
    """What the confidence model learns from: actions, oldest first, each with how those before it ended."""
    ends: dict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for action in actions:
        keys = {action.task, action.fingerprint or action.task}
        before, at = max((ends[key] for key in keys), key=len), action.at
        around = Circumstances(action.try_number, sum(before), len(before) - sum(before), at.hour, at.weekday())
        remedy = Remedy(action.kind, action.waited)
        yield Repair(action.category, action.transient_probability, action.anomaly, remedy, around, action.resolved)
        for key in keys:
            ends[key].append(action.resolved)


@dataclass(frozen=True)
class _Truth:
    incident_id: int
    category: str
    transient: bool | None
    weight: float
    given_at: datetime

    def example(self, fingerprint: str, text: str) -> Example:
        origin = HUMAN if self.weight == NAMED else OUTCOME
        return Example(text, self.category, self.transient, fingerprint, origin, self.weight, given_at=self.given_at)


def _truth(facts: Sequence[Fact]) -> _Truth | None:
    """What the labels of one fingerprint, oldest first, say together; ``None`` where no cause is known."""
    transient, judged = _transient(facts)
    newest = facts[-1].given_at
    named = [fact for fact in facts if fact.name == FEEDBACK and fact.value]
    if named:
        return _Truth(named[-1].incident_id, named[-1].value, None if named[-1].value == NO_INCIDENT else transient, NAMED, newest)
    caused = [fact for fact in facts if fact.category in CATEGORIES and _is_confirmed(fact)]
    if not caused or transient is None:
        return None
    return _Truth(caused[-1].incident_id, str(caused[-1].category), transient, JUDGED if judged else SEEN, newest)


def _is_confirmed(fact: Fact) -> bool:
    """A rule's word, or one that a person had before his eyes and acted on. A model must not learn from its own guesses."""
    return fact.decided_by == "rules" or fact.name == "approval"


def _transient(facts: Sequence[Fact]) -> tuple[bool | None, bool]:
    """Whether a re-run helps, and whether a person said so."""
    afterwards = [said for fact in facts if fact.name == FEEDBACK and (said := _of_feedback(fact)) is not None]
    if afterwards:
        return afterwards[-1], True
    ends = Counter(end for fact in facts if (end := _of_outcome(fact)) is not None)
    if ends:
        return (None if ends[True] == ends[False] else ends[True] > ends[False]), False
    expected = [fact.name == "approval" for fact in facts if fact.name in ("approval", "rejection")]
    return (expected[-1], True) if expected else (None, False)


def _of_feedback(fact: Fact) -> bool | None:
    correct, action = fact.detail.get("action_correct"), fact.detail.get("action")
    if correct is None or action is None:
        return None
    return bool(correct == (action != str(ActionKind.ESCALATE)))


def _of_outcome(fact: Fact) -> bool | None:
    """What happened after a re-run. One that failed for another cause says nothing of this one."""
    if fact.name == "self_healed":
        return True
    if fact.name != "outcome" or fact.value not in (OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME):
        return None
    return bool(fact.value == OutcomeKind.SUCCESS)


def _conflicts(known: dict[str, list[Fact]]) -> Iterator[str]:
    for fingerprint, facts in known.items():
        said = {fact.value: fact.given_by for fact in facts if fact.name == FEEDBACK and fact.value}
        if len(said) > 1:
            yield f"{fingerprint}: " + ", ".join(f"{category} (by {user})" for category, user in said.items()) + "; the newest word counts"
