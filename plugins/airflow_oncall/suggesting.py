"""Ask a language model about failures that the ladder does not know, where one is configured: for people to read, and for nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from airflow_oncall import conf
from airflow_oncall.aside import aside
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import StoreError
from airflow_oncall.incident import UNKNOWN, Incident
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.suggestions import AGAIN, Suggested
from airflow_oncall.triage.suggestion import EVIDENCE_CHARACTERS, INSTRUCTIONS, Suggestion, answer_of, question

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""How long the client may take to be made, and to give up, beside the time that the model has."""
Agent = Callable[[str], Any]
"""Makes the agent that answers, of a connection's id."""


def agent_of(conn_id: str) -> Any:
    """The agent of a connection of ``apache-airflow-providers-common-ai``."""
    from airflow.providers.common.ai.hooks.pydantic_ai import PydanticAIHook

    return PydanticAIHook.get_hook(conn_id).create_agent(Suggestion, instructions=INSTRUCTIONS)


def suggest(store: Store, make: Agent = agent_of) -> str:
    """Ask about one failure that nobody asked about, within the day's budget; its fingerprint, empty where there is none.

    It counts before it is asked, whatever becomes of it. What goes wrong is logged and kept with the fingerprint, which is asked about
    again a day later; so is one whose asker was killed.
    """
    conn_id, most = conf.llm_conn_id(), conf.llm_per_day()
    if not conn_id or store.suggestions.asked_since(now() - AGAIN) >= most:
        return ""
    incident = store.suggestions.wanting()
    if incident is None:
        return ""
    asked, seconds = _question(store, incident), conf.llm_timeout()
    if not store.suggestions.ask(incident.fingerprint, most):
        return ""
    error: BaseException | None
    try:
        error, answer = aside(lambda: answer_of(make(conn_id), asked, seconds), seconds + GRACE_SECONDS, "oncall-llm")
    except TimeoutError as late:
        error, answer = late, None
    if answer:
        _keep(store, incident, *answer)
        return incident.fingerprint
    # Only the kind of the error: its text may hold what the provider was signed in with.
    problem = type(error).__name__
    log.warning("no suggestion about incident %s: asking the language model of connection %r ended with %s", incident.id, conn_id, problem)
    store.suggestions.put(Suggested(incident.fingerprint, UNKNOWN, "", (), "", problem, now()))
    return incident.fingerprint


def suggest_at_the_end(store: Store) -> None:
    """As the last thing of a tick, which it must not fail."""
    try:
        suggest(store)
    except StoreError as error:
        log.warning("no suggestion: %s", error)


def _question(store: Store, incident: Incident) -> str:
    """Redacted again: masks may have been added since the evidence was stored."""
    seen = store.reading.occurrences(incident.id)
    evidence = seen[-1].evidence if seen else None
    events = store.logs.events(incident.id, newest=3)
    text = "\n".join([evidence.text if evidence else "", *(event.text for event in events)]).strip()
    chain = evidence.exception_chain if evidence else ()
    return question(evidence.operator if evidence else None, chain, redact(text, EVIDENCE_CHARACTERS))


def _keep(store: Store, incident: Incident, answer: Suggestion, model: str) -> None:
    told = [redact(text, EVIDENCE_CHARACTERS) for text in (answer.explanation, *answer.steps)]
    store.suggestions.put(Suggested(incident.fingerprint, answer.category, told[0], told[1:], model, "", now()))
    log.info("incident %s: %s suggests %s", incident.id, model or "the language model", answer.category)
