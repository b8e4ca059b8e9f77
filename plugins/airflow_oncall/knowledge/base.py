"""What is known about an incident: entries that people confirmed, and incidents alike that ended.

Entries whose fingerprint or pattern fits name the category, before models and rules. What is only alike is shown to
people, and speaks for or against an action with the weight of its likeness.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from airflow_oncall import conf
from airflow_oncall.act.decide import RERUNS
from airflow_oncall.act.economics import Statistic, posterior
from airflow_oncall.incident import ActionKind, Diagnosis
from airflow_oncall.knowledge.entry import BadEntry, Entry, read_entry
from airflow_oncall.knowledge.index import EntryIndex, IncidentIndex
from airflow_oncall.regexes import RegexSet
from airflow_oncall.store.knowledge import Ending, Kept
from airflow_oncall.store.outcomes import Decayed
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

ALIKE = 0.5
"""Cosine from which a text is alike."""
ENTRY_WEIGHT = 2.0
"""Outcomes that the word of one confirmed entry counts as."""
MOST_WEIGHT = 8.0
"""Outcomes that everything alike counts as, at most: what was seen of the failure itself is not to be outweighed."""
SHOWN = 3
"""Entries, and incidents of one kind, that people are shown."""
LINE_CHARACTERS = 240
LOOK_EVERY = 60.0
LOOK_SECONDS = 0.5
"""How often triage reads news into its index, and for how long."""
CATCH_UP_SECONDS = 10.0
"""For how long the hourly upkeep reads; a search by hand reads all."""


class Found(NamedTuple):
    """One entry that a search found."""

    entry: Entry
    is_proposed: bool
    cosine: float
    how: str
    """``its fingerprint``, ``its pattern fits`` or ``94% alike``."""


@dataclass(frozen=True)
class Alike:
    """What is alike to an incident."""

    lines: tuple[str, ...] = ()
    """For people."""
    evidence: Mapping[str, Statistic] = field(default_factory=dict)
    """By action: outcomes of other failures, weighed by likeness. Those of the same fingerprint are not among them."""
    fingerprints: frozenset[str] = frozenset()
    """The failures whose outcomes are in the evidence."""


class KnowledgeBase:
    """The knowledge of one deployment, as one process sees it. Costs two small queries where nothing is known."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked = float("-inf")
        self._patterns: tuple[list[str], RegexSet] = ([], RegexSet([]))

    @cached_property
    def entries(self) -> EntryIndex:
        """Entries by likeness."""
        return EntryIndex(self._store, conf.models_path())

    @cached_property
    def incidents(self) -> IncidentIndex:
        """Incidents that ended, by likeness."""
        return IncidentIndex(self._store, conf.models_path())

    def catch_up(self, seconds: float = CATCH_UP_SECONDS) -> None:
        """Read what is new into both indexes, the entries first."""
        started = time.monotonic()
        self.entries.refresh(seconds)
        self.incidents.refresh(max(seconds - (time.monotonic() - started), 0))

    def search(self, text: str, limit: int = 10, least: float = 0.0) -> list[Found]:
        """Entries that fit or are alike, best first, proposed ones among them."""
        self._look()
        fits = self._fitting(text)
        cosines = {match.name: match.cosine for match in self.entries.texts.search(text, 2 * limit, least)}
        kept = self._store.knowledge.get([*fits, *(name for name in cosines if name not in fits)])
        found = [_found(one, 1.0, "its pattern fits") for name in fits if (one := kept.get(name))]
        found += [_found(kept[name], share, f"{share:.0%} alike") for name, share in cosines.items() if name in kept and name not in fits]
        return [one for one in found if one][:limit]

    def recognise(self, diagnosis: Diagnosis, fingerprint: str, text: str) -> Diagnosis:
        """The diagnosis, or in its place what a confirmed entry says whose fingerprint or pattern fits; of several, the surest."""
        self._look()
        known = [one for one in self._exact(fingerprint, text) if not one.is_proposed]
        if not known:
            return diagnosis
        best = max(known, key=lambda one: (one.how == _BY_FINGERPRINT, one.entry.confidence))
        return _recognised(diagnosis, best)

    def similar_to(self, fingerprint: str, text: str) -> Alike:
        """Entries and ended incidents alike, and how actions ended for them."""
        self._look()
        entries = self._alike_entries(fingerprint, text)
        others = {match.name: match.cosine for match in self.incidents.texts.search(text, 2 * SHOWN, ALIKE) if match.name != fingerprint}
        ends = {name: self._store.outcomes.of_fingerprint(name) for name in others}
        lines = [_line_of_entry(one) for one in entries[:SHOWN]]
        lines += [_line_of_ending(one, "same fingerprint") for one in self._endings(fingerprint)]
        for name in sorted(others, key=lambda name: -others[name])[:SHOWN]:
            lines += [_line_of_ending(one, f"{others[name]:.0%} alike") for one in self._endings(name)[:1]]
        counted = frozenset(name for name, seen in ends.items() if seen)
        return Alike(tuple(line[:LINE_CHARACTERS] for line in lines), _evidence(entries, others, ends), counted)

    def _endings(self, fingerprint: str) -> list[Ending]:
        return self._store.knowledge.endings(fingerprint, SHOWN) if fingerprint else []

    def _alike_entries(self, fingerprint: str, text: str) -> list[Found]:
        exact = {one.entry.name: one for one in self._exact(fingerprint, text)}
        alike = [one for one in self.search(text, 2 * SHOWN, ALIKE) if one.entry.name not in exact]
        return [one for one in (*exact.values(), *alike) if not one.is_proposed]

    def _exact(self, fingerprint: str, text: str) -> list[Found]:
        own = [_found(one, 1.0, _BY_FINGERPRINT) for one in self._store.knowledge.of_fingerprint(fingerprint)]
        fitting = self._fitting(text)
        kept = self._store.knowledge.get(fitting) if fitting else {}
        found = [*own, *(_found(one, 1.0, "its pattern fits") for one in kept.values() if one.entry.get("fingerprint") != fingerprint)]
        return [one for one in found if one]

    def _fitting(self, text: str) -> list[str]:
        names, patterns = self._patterns
        return [names[number] for number in sorted(patterns.matching(text))] if names else []

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self.entries.refresh(LOOK_SECONDS)
        patterns = self._store.knowledge.patterns()
        self._patterns = list(patterns), RegexSet([re.compile(pattern) for pattern in patterns.values()])
        self._looked = time.monotonic()


_BY_FINGERPRINT = "its fingerprint"


def _found(kept: Kept, cosine: float, how: str) -> Found | None:
    try:
        return Found(read_entry(kept.entry), kept.is_proposed, cosine, how)
    except BadEntry as error:  # e.g. of an action whose package was removed
        log.warning("knowledge %s counts for nothing: %s", kept.name, error)
        return None


def _recognised(diagnosis: Diagnosis, known: Found) -> Diagnosis:
    entry = known.entry
    transient, chance = _rerun_helps(entry, diagnosis)
    same = diagnosis.category == entry.category
    return replace(
        diagnosis,
        category=entry.category,
        probability=max(entry.confidence, diagnosis.probability) if same else entry.confidence,
        transient=transient,
        transient_probability=chance,
        anomaly=False,
        evidence=(f"Known as {entry.name}: {known.how}", *diagnosis.evidence),
        decided_by="knowledge",
    )


def _rerun_helps(entry: Entry, diagnosis: Diagnosis) -> tuple[bool | None, float]:
    first = next(iter(entry.actions), None)
    if first in RERUNS:
        return True, entry.confidence
    if first == ActionKind.ESCALATE:
        return False, round(min(diagnosis.transient_probability, 1 - entry.confidence), 4)
    return (diagnosis.transient if first is None else None), diagnosis.transient_probability


def _evidence(entries: Sequence[Found], others: Mapping[str, float], ends: Mapping[str, Mapping[str, Decayed]]) -> dict[str, Statistic]:
    found: dict[str, Statistic] = {}
    for one in entries:
        for action in one.entry.actions:
            seen = one.entry.elsewhere.get(action)
            helps = posterior(one.entry.confidence, Statistic(seen.successes, seen.failures) if seen else None)
            weight = ENTRY_WEIGHT * one.cosine
            _add(found, action, weight * helps, weight * (1 - helps))
    for fingerprint, cosine in others.items():
        for action, seen_there in ends.get(fingerprint, {}).items():
            _add(found, action, cosine**2 * seen_there.successes, cosine**2 * seen_there.failures)
    return {action: _bounded(statistic) for action, statistic in found.items()}


def _add(found: dict[str, Statistic], action: str, successes: float, failures: float) -> None:
    before = found.get(action, Statistic())
    found[action] = Statistic(before.successes + successes, before.failures + failures)


def _bounded(seen: Statistic) -> Statistic:
    share = min(1.0, MOST_WEIGHT / max(seen.successes + seen.failures, MOST_WEIGHT))
    return Statistic(round(seen.successes * share, 4), round(seen.failures * share, 4))


def _line_of_entry(found: Found) -> str:
    entry = found.entry
    helps = f"{', '.join(map(str, entry.actions))} ({entry.confidence:.0%})" if entry.actions else "a person has to look"
    notes = " ".join(entry.notes.split())[:120].rstrip(". ")
    about = ". ".join(filter(None, (notes, entry.runbook)))
    return f"Known as {entry.name} ({found.how}), {entry.category}: {helps}" + (f". {about}" if about else "")


def _line_of_ending(ending: Ending, how: str) -> str:
    approved = f", approved by {ending.approved_by}" if ending.approved_by else ""
    helped = f"{ending.action} helped{approved}" if ending.action else "people repaired it"
    # Without the names of its DAG and task, which not everybody may see who reads this.
    return f"Incident {ending.incident_id}, {ending.at:%Y-%m-%d} ({how}): {helped}"
