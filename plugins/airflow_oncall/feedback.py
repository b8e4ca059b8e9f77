"""What people say, from the command line or the UI: redacted, then stored, as a label or as the reason of what they did."""

from __future__ import annotations

from airflow_oncall.capture.redact import redact
from airflow_oncall.incident import Label
from airflow_oncall.store.sql import Store

COMMENT_CHARACTERS = 2000
REASON_CHARACTERS = 300


def reason_of(text: str | None) -> str:
    """Why a person did something, as it is stored; it may hold anything a person types."""
    return redact(text or "", REASON_CHARACTERS)


def give_feedback(
    store: Store,
    incident_id: int,
    user: str,
    *,
    category: str | None = None,
    action_correct: bool | None = None,
    false_positive: bool = False,
    comment: str = "",
) -> Label:
    """See :meth:`airflow_oncall.store.labels.Labels.give_feedback`; the comment may hold anything a person types."""
    return store.labels.give_feedback(
        incident_id,
        user,
        category=category,
        action_correct=action_correct,
        false_positive=false_positive,
        comment=redact(comment, COMMENT_CHARACTERS),
    )
