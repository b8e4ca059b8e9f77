"""What people said and what was seen to happen, as examples: one a fingerprint, the more trusted word first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from tests.learn.past import RESET, Past

from airflow_oncall.errors import StoreRefused
from airflow_oncall.feedback import give_feedback
from airflow_oncall.incident import Diagnosis, OutcomeKind
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.labels import harvest, repairs
from airflow_oncall.store.sql import Store

GUESSED = Diagnosis("missing_data", 0.7, True, 0.6, decided_by="model")
NOBODY_KNOWS = Diagnosis("unknown", 0.0, None, 0.3, True, decided_by="unknown")


@pytest.fixture
def past(store: Store) -> Past:
    return Past(store)


def only(store: Store) -> Example:
    (example,) = harvest(store.labels).examples
    return example


def test_a_repair_that_was_seen_to_help_is_an_example(store: Store, past: Past) -> None:
    past.repaired(past.failed("reset", said="ConnectionResetError: reset by vendor"))
    example = only(store)
    assert (example.text, example.category, example.transient) == ("ConnectionResetError: reset by vendor", "network_connectivity", True)
    assert (example.group, example.origin) == ("reset", "outcome")
    assert example.given_at is not None


def test_the_text_is_what_diagnosis_reads(store: Store, past: Past) -> None:
    incident = past.failed("reset", said="Traceback: reset")
    store.ledger.add_log(incident.id, 1, "INFO connecting")
    past.repaired(incident)
    assert only(store).text == store.reading.occurrences(incident.id)[-1].evidence.text == "INFO connecting\nTraceback: reset"


def test_a_repair_that_failed_again_says_that_a_re_run_does_not_help(store: Store, past: Past) -> None:
    past.repaired(past.failed(), OutcomeKind.FAILED_SAME)
    assert only(store).transient is False


def test_one_that_failed_for_another_cause_says_nothing(store: Store, past: Past) -> None:
    past.repaired(past.failed(), OutcomeKind.FAILED_OTHER)
    assert harvest(store.labels).examples == ()


def test_many_outcomes_of_one_fingerprint_are_one_example_of_their_majority(store: Store, past: Past) -> None:
    for end in (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME):
        past.repaired(past.failed(), end)
    assert only(store).transient is True


def test_a_persons_word_outweighs_what_was_seen_and_the_corpus(store: Store, past: Past) -> None:
    seen, named = past.failed("seen"), past.failed("named")
    past.repaired(seen)
    past.repaired(named)
    give_feedback(store, named.id, "ada", category="rate_limit")
    examples = {one.group: one for one in harvest(store.labels).examples}
    assert examples["named"].category == "rate_limit"
    assert examples["named"].origin == "human"
    assert examples["named"].transient is True, "the outcome still says whether a re-run helps"
    corpus = Example("x", "rate_limit", True, "g")
    assert examples["named"].weight > examples["seen"].weight > corpus.weight


def test_a_person_who_judges_the_action_outweighs_its_outcome(store: Store, past: Past) -> None:
    incident = past.failed()
    past.repaired(incident)
    give_feedback(store, incident.id, "ada", action_correct=False)
    assert only(store).transient is False


@pytest.mark.parametrize(("answer", "transient"), [("approval", True), ("rejection", False)])
def test_an_answer_to_a_question_is_a_label(store: Store, past: Past, answer: str, transient: bool) -> None:
    past.answered(past.failed(), answer)
    assert only(store).transient is transient


def test_what_happened_outranks_what_an_approval_expected(store: Store, past: Past) -> None:
    past.answered(past.failed(), "approval")
    past.repaired(past.failed(), OutcomeKind.FAILED_SAME)
    assert only(store).transient is False


def test_a_model_does_not_learn_from_its_own_guess(store: Store, past: Past) -> None:
    past.repaired(past.failed(diagnosis=GUESSED))
    found = harvest(store.labels)
    assert (found.examples, found.without_cause) == ((), 1)


def test_a_guess_that_a_person_acted_on_counts(store: Store, past: Past) -> None:
    past.answered(past.failed(diagnosis=GUESSED), "approval")
    assert only(store).category == "missing_data"


def test_a_person_names_what_nothing_knew(store: Store, past: Past) -> None:
    incident = past.failed("in-house", "acme.LedgerOutOfStep: 7", NOBODY_KNOWS)
    give_feedback(store, incident.id, "ada", category="data_quality")
    assert (only(store).category, only(store).transient) == ("data_quality", None)


def test_a_false_positive_is_an_example_of_no_incident(store: Store, past: Past) -> None:
    give_feedback(store, past.failed().id, "ada", false_positive=True)
    assert (only(store).category, only(store).origin) == ("none", "human")


def test_people_who_disagree_are_named_and_the_newest_word_counts(store: Store, past: Past) -> None:
    incident = past.failed("reset")
    give_feedback(store, incident.id, "ada", category="rate_limit")
    give_feedback(store, incident.id, "bob", category="missing_data")
    found = harvest(store.labels)
    assert found.examples[0].category == "missing_data"
    assert found.conflicts == ("reset: rate_limit (by ada), missing_data (by bob); the newest word counts",)


def test_a_failure_without_any_text_teaches_nothing(store: Store, past: Past) -> None:
    past.repaired(past.failed(said="   "))
    found = harvest(store.labels)
    assert (found.examples, found.without_text) == ((), 1)


def test_feedback_is_kept_with_user_time_and_a_comment_without_secrets(store: Store, past: Past) -> None:
    incident = past.failed()
    give_feedback(store, incident.id, "ada", action_correct=True, comment="fixed with password=hunter2hunter2")
    (row,) = store.reading.labels(incident.id)
    assert (row["name"], row["given_by"]) == ("feedback", "ada")
    assert datetime.now(timezone.utc) - row["given_at"] < timedelta(minutes=5)
    assert "hunter2" not in row["detail"]["comment"]
    assert store.reading.history(incident.id)[-1]["actor"] == "ada"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"category": "gremlins"}, "'gremlins' does not exist; one of database_connectivity"),
        ({"category": "rate_limit", "false_positive": True}, "say one of the two"),
        ({}, "nothing is said"),
    ],
)
def test_feedback_that_says_nothing_usable_is_refused(store: Store, past: Past, said: dict[str, str], problem: str) -> None:
    with pytest.raises(StoreRefused, match=problem):
        give_feedback(store, past.failed().id, "ada", **said)  # type: ignore[arg-type]


def test_feedback_on_an_incident_that_is_not_there_says_so(store: Store) -> None:
    with pytest.raises(StoreRefused, match="incident 77 is not in the store"):
        give_feedback(store, 77, "ada", category="rate_limit")


def test_labels_are_counted_since_a_moment(store: Store, past: Past) -> None:
    past.repaired(past.failed(), at=datetime(2026, 11, 1, tzinfo=timezone.utc))
    past.repaired(past.failed())
    assert store.labels.count() == 2
    assert store.labels.count(datetime(2026, 11, 2, tzinfo=timezone.utc)) == 1


def test_a_repair_knows_how_earlier_ones_of_its_task_ended(store: Store, past: Past) -> None:
    start = datetime(2026, 11, 21, 23, tzinfo=timezone.utc)
    for hours, end in enumerate((OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.SUCCESS)):
        past.repaired(past.failed(at=start), end, start + timedelta(hours=hours))
    found = list(repairs(store.labels.verified_actions()))
    assert [(one.around.successes, one.around.failures, one.resolved) for one in found] == [(0, 0, True), (1, 0, False), (1, 1, True)]
    assert [one.around.hour for one in found] == [23, 0, 1]
    assert {one.category for one in found} == {RESET.category}


def test_the_diagnosis_in_force_at_the_action_counts_not_a_later_one(store: Store, past: Past) -> None:
    start = datetime(2026, 11, 21, tzinfo=timezone.utc)
    past.repaired(past.failed(at=start, diagnosis=replace(RESET, probability=0.61)), at=start + timedelta(hours=1))
    (action,) = store.labels.verified_actions()
    assert action.probability == 0.61


def test_earlier_repairs_are_those_of_the_task_or_of_its_like_whichever_says_more(store: Store, past: Past) -> None:
    for end in (OutcomeKind.SUCCESS, OutcomeKind.FAILED_SAME, OutcomeKind.SUCCESS):
        past.repaired(past.failed("reset"), end)
    assert store.labels.earlier_repairs("nightly", "load", "never seen") == (2, 1)
    assert store.labels.earlier_repairs("another", "task", "reset") == (2, 1)
    assert store.labels.earlier_repairs("another", "task", "never seen") == (0, 0)


def test_repairs_of_long_ago_say_nothing_where_there_are_newer_ones(store: Store, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{store.labels.__module__}.REMEMBERED", 2)
    for end in (OutcomeKind.FAILED_SAME, OutcomeKind.SUCCESS, OutcomeKind.SUCCESS):
        past.repaired(past.failed("reset"), end)
    assert store.labels.earlier_repairs("nightly", "load", "never seen") == (2, 0)
    assert store.labels.earlier_repairs("another", "task", "reset") == (2, 0)


def test_incidents_without_a_fingerprint_are_not_alike(store: Store, past: Past) -> None:
    past.repaired(past.failed(""))
    assert store.labels.earlier_repairs("another", "task", "") == (0, 0)
