"""A month of a deployment, written into a store: what every page has to show, with names for the incidents that tests act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count

from tests.cast import vendor_was_down
from tests.show.api.story import LEASE, TIMED_OUT, Story
from tests.ui.learned import drawn, learned, watched

from airflow_oncall.act.decide import decide
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.act.situation import Situation
from airflow_oncall.capture.evidence import gather
from airflow_oncall.capture.redact import redact
from airflow_oncall.incident import (
    UNKNOWN,
    Diagnosis,
    Evidence,
    Incident,
    Label,
    OutcomeKind,
    State,
    TaskRef,
    Verdict,
)
from airflow_oncall.judgement import LOG_CHARACTERS
from airflow_oncall.knowledge.book import Book
from airflow_oncall.knowledge.entry import read_entry
from airflow_oncall.store import records
from airflow_oncall.store.records import Clock, now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.suggestions import Suggested

RUN = "manual__2026-11-21"
ASKED = ("to_approve", "to_reject", "to_answer_twice", "to_approve_signed_out", "for_somebody_else", "to_look_at")
"""Incidents about which a person is asked, one question each."""
LONG = TaskRef("nightly", f"{RUN}-{'r' * 200}", f"load_{'x' * 240}", 1234)
"""As long as Airflow lets names be."""
PLAIN = (
    *("to_comment_on", "to_call_wrong", "to_close", "to_close_too_late", "to_write_down"),
    *("to_close_signed_out", "to_comment_on_signed_out"),
)
HOSTILE = (
    "<img src=x onerror=\"window.hacked='img'\"><script>window.hacked='script'</script>\n"
    "\u001b[31mred\u001b[0m \u202eexe.txt\u202c zero\u200bwidth \u0007bell\n"
    "javascript:alert(1) {{7*7}} ${7*7}\n" + "A" * 100_000
)
ENDLESS = "<script>window.hacked='endless'</script> \u202e" + "endless " * 125_000
"""A line of a megabyte."""
MEMORY = Diagnosis("memory_exhaustion", 0.88, False, 0.3, evidence=("java.lang.OutOfMemoryError: Java heap space",))
CODE = Diagnosis("code_error", 0.97, False, 0.02, evidence=("KeyError: 'customer'",), decided_by="model", model_version="v3")
DATABASE = Diagnosis("database_connectivity", 0.93, True, 0.9, evidence=("FATAL: sorry, too many clients already",), decided_by="rules")
STRANGE = Diagnosis(UNKNOWN, 0.31, None, 0.4, anomaly=True, decided_by="nobody")
CAUSES = (TIMED_OUT, MEMORY, DATABASE, CODE)
ENDS = (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME)
DAYS = 26
_numbers = count(1)


class Earlier(Clock):
    """The time of so long ago."""

    def __init__(self, ago: timedelta) -> None:
        self._ago = ago

    def read(self) -> datetime:  # type: ignore[override]  # the computer's clock needs no instance
        """That time."""
        return datetime.now(timezone.utc) - self._ago


@contextmanager
def earlier(**ago: float) -> Iterator[None]:
    """What is written inside happens so long ago."""
    before, records.clock = records.clock, Earlier(timedelta(**ago))
    yield
    records.clock = before


def write(store: Store) -> dict[str, int]:
    """Let it all happen; the incidents that have names."""
    story = Story(store)
    _month(story)
    learned(story)
    for day in range(12, 0, -1):
        with earlier(days=day):
            watched(story, day)
        with earlier(days=day, minutes=90):
            drawn(story, day)
    Book(store, "ada").add(
        read_entry({"name": "vendor-503", "category": "network_timeout", "fingerprint": "vendor-503", "actions": ["clear_task"]})
    )
    Book(store, "oncall").propose([read_entry({"name": "heap-space", "category": "memory_exhaustion", "pattern": "Java heap space"})])
    with earlier(hours=3):
        story.storm([TaskRef("shards", "manual__1", "work", number) for number in range(4)])
        story.file_broke()
        story.engine_logged()
    return _named(story)


def _month(story: Story) -> None:
    for day in range(DAYS, 0, -1):
        for number in range(1 + day % 3):
            with earlier(days=day, hours=number):
                _past(story, day + number)


def _past(story: Story, number: int) -> None:
    """One incident of the past, and its end."""
    diagnosis = CAUSES[number % len(CAUSES)]
    happened = now() - timedelta(minutes=12)
    ref = TaskRef("nightly", f"run-{next(_numbers)}", "load_orders")
    incident = story.failed(ref, happened_at=happened, fingerprint=f"print-{diagnosis.category}")
    if number % 7 == 0:
        story.store.ledger.ended(_claimed(story, incident), None, [], State.SELF_HEALED, None, "its own retry succeeded")
        return
    diagnosed = story.diagnosed(incident, diagnosis)
    if diagnosis is CODE:
        story.decided(diagnosed, Verdict.ESCALATE, State.ESCALATED)
        return
    story.decided(diagnosed, Verdict.AUTO, State.ACTING)
    story.ended(story.released(incident), ENDS[(number // 2) % len(ENDS)])


def _claimed(story: Story, incident: Incident) -> Incident:
    return story.store.queue.claim(incident.id, LEASE) or incident


def _named(story: Story) -> dict[str, int]:
    """Incidents that tests act on."""
    found = {}
    for place, name in enumerate((*ASKED, *PLAIN)):
        ref = TaskRef("nightly", f"{RUN}-{name}", "load_orders")
        with earlier(minutes=20 - place):
            found[name] = (story.asked(ref) if name in ASKED else _told(story, ref)).id
            story.store.queue.release(found[name])
    found["of_shards"] = story.diagnosed(story.failed(TaskRef("shards", RUN, "work", 3))).id
    found["hostile"] = story.diagnosed(_hostile(story), replace(TIMED_OUT, evidence=(HOSTILE[:300],))).id
    found["suggested"] = _suggested(story).id
    found["long"] = story.diagnosed(story.failed(LONG, fingerprint="long", evidence=Evidence(message="M" * 1000, traceback="T" * 1000))).id
    with earlier(days=1):
        repaired = story.diagnosed(story.failed(TaskRef("nightly", RUN, "load_orders"), happened_at=now() - timedelta(minutes=9)))
        story.decided(repaired, Verdict.AUTO, State.ACTING)
    with earlier(hours=23):
        story.ended(story.released(repaired), OutcomeKind.SUCCESS)
    return found | {"repaired": repaired.id, "approved": _approved(story).id, "endless": _endless(story).id}


def _approved(story: Story) -> Incident:
    """A failure that went the whole way: noticed, diagnosed, decided, asked, answered, acted, verified."""
    with earlier(hours=5):
        incident = story.diagnosed(story.failed(TaskRef("nightly", f"{RUN}-approved", "load_orders"), happened_at=now()))
        situation = Situation(incident, TIMED_OUT, "ask", changed_code=True, downstream=201, severity="high")
        decision = decide(situation, read_policy(story.store))
        asked = story.store.ledger.decided(incident, decision, State.ASKED, 60, 1)
        action = story.store.ledger.open_action(asked.id)
        assert action is not None
        label = Label(asked.id, "approval", str(action.kind), "grace", now(), {"decision": action.decision_number})
        acting = story.store.ledger.answered(asked, action, label, State.ACTING, 0)
    with earlier(hours=4):
        story.ended(story.released(acting), OutcomeKind.SUCCESS)
    return acting


def _endless(story: Story) -> Incident:
    """A failure whose message and log are lines of a megabyte, as the worker and triage write them down."""
    ref = TaskRef("nightly", f"{RUN}-endless", "load_orders")
    incident = story.failed(ref, fingerprint="endless", evidence=gather(None, ENDLESS))
    story.store.ledger.add_log(incident.id, incident.try_number, redact(ENDLESS, LOG_CHARACTERS))
    return story.diagnosed(incident)


def _told(story: Story, ref: TaskRef) -> Incident:
    return story.decided(story.diagnosed(story.failed(ref), MEMORY), Verdict.ESCALATE, State.ESCALATED, "critical")


def _suggested(story: Story) -> Incident:
    """A failure that nothing here knows, about which a language model was asked."""
    ref = TaskRef("nightly", f"{RUN}-suggested", "load_orders")
    evidence = Evidence(message="grblx quota of tenant 7 is used up", traceback="grblx: quota of tenant 7 is used up, resets at 04:00 UTC")
    incident = story.diagnosed(story.failed(ref, fingerprint="grblx-quota", evidence=evidence), STRANGE)
    why = "The service refuses further calls until its quota is reset.\n<b>Probably</b> the backfill of this night used it up."
    steps = ["Wait until 04:00 UTC.", "Ask the owner of tenant 7 for a larger quota: https://grblx.example/" + "quota-" * 60]
    story.store.suggestions.put(Suggested("grblx-quota", "rate_limit", why, steps, "test-model", "", now()))
    return story.decided(incident, Verdict.ESCALATE, State.ESCALATED, "medium")


def _hostile(story: Story) -> Incident:
    evidence = Evidence(exception_chain=("<b>Bold</b>",), message=HOSTILE[:900], traceback=HOSTILE, hostname="<i>host</i>")
    return story.noticed(
        replace(vendor_was_down, ref=TaskRef("nightly", f"{RUN}-hostile", "load_orders"), evidence=evidence, fingerprint="hostile")
    )
