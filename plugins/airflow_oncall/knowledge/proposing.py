"""Proposing entries from what people resolved: where :mod:`airflow_oncall.learn.proposals` meets the store."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import BadEntry, Entry, read_entry
from airflow_oncall.learn.proposals import Proposal, belief, find_proposals
from airflow_oncall.store.knowledge import EntryChanged
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.features import CLAUSE_LIMIT, read_features

log = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=180)
EXAMPLE_CHARACTERS = 1_000


def propose(store: Store, actor: str = "upkeep") -> list[str]:
    """Propose an entry for every failure that people resolved repeatedly; the names of the new ones.

    A fingerprint is proposed once: an entry that people took out does not come back by itself.
    """
    known = store.knowledge.known_fingerprints()
    found = find_proposals(store.knowledge.resolutions(now() - LOOK_BACK), known)
    names = []
    for proposal in found:
        try:
            entry = _entry(store, proposal)
            Book(store, actor).propose([entry])
        except (BadEntry, EntryChanged) as error:
            log.warning("knowledge %s is not proposed: %s", proposal.name, error)
            continue
        names.append(entry.name)
    return names


def _entry(store: Store, proposal: Proposal) -> Entry:
    tallies = store.knowledge.tallies([proposal.fingerprint]).get(proposal.fingerprint, {})
    text = store.labels.texts([proposal.newest]).get(proposal.newest, "")
    first = next(iter(proposal.actions), None)
    entry = {
        "name": re.sub(r"[^a-z0-9._-]", "-", proposal.name),
        "category": proposal.category,
        "fingerprint": proposal.fingerprint,
        "example": decisive(text),
        "actions": proposal.actions[:5],
        "confidence": belief(tallies.get(first)) if first else 0.5,
        "notes": proposal.notes,
    }
    return read_entry(entry)


def decisive(text: str) -> str:
    """The lines of a text that may name its cause, most decisive first."""
    lines = [clause.text for clause in read_features(text).clauses[:CLAUSE_LIMIT]]
    return "\n".join(lines)[:EXAMPLE_CHARACTERS]
