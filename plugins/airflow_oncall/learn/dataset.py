"""What models learn from: examples from the shipped corpus, from verified outcomes and from people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Example:
    """One failure (or one healthy text) whose truth is known."""

    text: str
    """Redacted evidence, as diagnosis sees it."""
    category: str
    """One of ``CATEGORIES`` or ``none``."""
    transient: bool | None
    """Whether a re-run can help; ``None`` when unclear."""
    group: str
    """Scenario or fingerprint: rows of one group never stand on both sides of a split."""
    origin: str = "corpus"
    """``corpus``, ``outcome`` or ``human``, in the order of rising trust."""
    weight: float = 1.0
    also: tuple[str, ...] = ()
    """Other categories that are as right."""
    given_at: datetime | None = None
    """When the label was given; ``None`` for the corpus."""
