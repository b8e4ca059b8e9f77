"""``airflow oncall knowledge ...`` as people type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run
from tests.knowledge.people import FROZEN, People

from airflow_oncall.cli import knowledge
from airflow_oncall.store.sql import Store

Output = pytest.CaptureFixture[str]
TAUGHT = ("--category", "missing_data", "--pattern", "ledger .* is frozen", "--action", "clear_task", "--confidence", "0.8")


@pytest.fixture
def office(deployment: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that the commands of this group open, too."""
    monkeypatch.setattr(knowledge, "open_store", lambda **_: deployment)
    monkeypatch.setenv("AIRFLOW__ONCALL__MODELS_PATH", str(home / "models"))
    return deployment


@pytest.fixture
def answer(oncall: Run, capsys: Output) -> Callable[..., Any]:
    """What a command answers as JSON."""

    def ask(*words: str) -> Any:
        capsys.readouterr()
        assert oncall("knowledge", *words, "--format", "json") == 0
        return json.loads(capsys.readouterr().out)

    return ask


def test_what_is_added_is_listed_and_found(office: Store, oncall: Run, answer: Callable[..., Any]) -> None:
    assert oncall("knowledge", "add", "ledger-frozen", *TAUGHT, "--tag", "books", "--user", "ada") == 0
    (listed,) = answer("list", "--tag", "books")
    assert (listed["name"], listed["actions"], listed["is_proposed"]) == ("ledger-frozen", ["clear_task"], False)
    assert answer("list", "--tag", "others") == []
    (found,) = answer("search", FROZEN)
    assert (found["name"], found["how"]) == ("ledger-frozen", "its pattern fits")


def test_a_search_reads_a_log_from_standard_input(
    office: Store, oncall: Run, standard_input: Callable[[bytes], None], capsys: Output
) -> None:
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT, "--notes", "wait for the books")
    standard_input(FROZEN.encode() + b"\xff")
    assert oncall("knowledge", "search") == 0
    said = capsys.readouterr().out
    assert "ledger-frozen (its pattern fits): missing_data, clear_task\n   wait for the books" in said


def test_an_empty_search_says_what_to_give(office: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("knowledge", "search", " ") == 1
    assert "there is nothing to look for" in capsys.readouterr().err


def test_a_search_without_a_find_says_so(office: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("knowledge", "search", "zebra") == 0
    assert capsys.readouterr().out == "nothing is like it\n"


def test_an_incident_lends_its_fingerprint_example_and_category(office: Store, oncall: Run, answer: Callable[..., Any]) -> None:
    incident = People(office).saw("0a1b")
    assert oncall("knowledge", "add", "frozen", "--incident", str(incident.id), "--action", "clear_task") == 0
    (listed,) = answer("list")
    assert (listed["fingerprint"], listed["example"], listed["category"]) == ("0a1b", FROZEN, "missing_data")


def test_an_incident_that_is_not_there_is_told(office: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("knowledge", "add", "frozen", "--incident", "77", *TAUGHT) == 1
    assert "incident 77 is not in the store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pattern", ".*"), "in which nothing failed"),
        (("--runbook", "javascript:alert(1)"), "begins with http"),
        (("--action", "rm"), "'rm' is no action"),
        (("--parent", "nobody"), "'nobody' is not there"),
    ],
)
def test_what_cannot_be_kept_is_told_in_one_line(office: Store, oncall: Run, capsys: Output, words: tuple[str, ...], message: str) -> None:
    assert oncall("knowledge", "add", "frozen", *TAUGHT, *words) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_confidence_outside_zero_to_one_is_no_argument(office: Store, oncall: Run) -> None:
    assert oncall("knowledge", "edit", "frozen", "--confidence", "1.5") == 2


def test_an_edit_goes_on_record(office: Store, oncall: Run, answer: Callable[..., Any]) -> None:
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT, "--user", "ada")
    assert oncall("knowledge", "edit", "ledger-frozen", "--confidence", "0.5", "--user", "bob") == 0
    told = answer("stats", "ledger-frozen")
    assert [one["confidence"] for one in told["confidence_history"]] == [0.8, 0.5]
    assert [(one["version"], one["what"], one["actor"]) for one in told["versions"]] == [(1, "added", "ada"), (2, "edited", "bob")]


def test_an_edit_of_nothing_says_what_can_be_changed(office: Store, oncall: Run, capsys: Output) -> None:
    assert oncall("knowledge", "edit", "ledger-frozen") == 1
    assert "give what shall be different: --category" in capsys.readouterr().err


def test_statistics_are_those_of_the_outcomes(office: Store, oncall: Run, answer: Callable[..., Any], capsys: Output) -> None:
    people = People(office)
    people.approved(people.saw("0a1b"))
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT, "--fingerprint", "0a1b")
    assert answer("stats")[0]["here"] == {"clear_task": {"successes": 1, "failures": 0}}
    assert oncall("knowledge", "stats", "ledger-frozen") == 0
    assert "version 1: added by " in capsys.readouterr().out


def test_proposals_are_listed_confirmed_and_removed(office: Store, oncall: Run, answer: Callable[..., Any], capsys: Output) -> None:
    from tests.knowledge.people import entry

    from airflow_oncall.knowledge.book import Book

    Book(office, "upkeep").propose([entry("one"), entry("two")])
    assert [one["name"] for one in answer("list", "--proposed")] == ["one", "two"]
    assert oncall("knowledge", "confirm", "one") == 0
    assert oncall("knowledge", "confirm", "one") == 0
    assert "knowledge one counts from now on\nknowledge one was confirmed before\n" in capsys.readouterr().out
    assert oncall("knowledge", "remove", "two") == 0
    assert [(one["name"], one["is_proposed"]) for one in answer("list")] == [("one", False)]


def test_knowledge_travels_in_a_file(office: Store, oncall: Run, answer: Callable[..., Any], tmp_path: Path, capsys: Output) -> None:
    file = str(tmp_path / "knowledge.json")
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT)
    assert oncall("knowledge", "export", file) == 0
    oncall("knowledge", "remove", "ledger-frozen")
    capsys.readouterr()
    assert oncall("knowledge", "import", file, "--confidence-adjustment", "0.5") == 0
    said = capsys.readouterr().out
    assert "1 imported, 0 known already, 0 left out" in said
    assert "count for nothing until `airflow oncall knowledge confirm" in said
    (listed,) = answer("list")
    assert (listed["confidence"], listed["is_proposed"]) == (0.4, True)


def test_an_import_names_what_it_leaves_out_and_what_is_taken(office: Store, oncall: Run, tmp_path: Path, capsys: Output) -> None:
    rows = [{"name": f"wrong-{number}", "category": "nonsense", "pattern": "x"} for number in range(25)]
    rows += [{"name": "ledger-frozen", "category": "missing_data", "pattern": "other"}]
    path = tmp_path / "knowledge.json"
    path.write_text(json.dumps({"format": "airflow-oncall-knowledge", "version": 1, "entries": rows}))
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT)
    capsys.readouterr()
    assert oncall("knowledge", "import", str(path)) == 1
    told = capsys.readouterr()
    assert "0 imported, 0 known already, 25 left out" in told.out
    assert "1 left out, because entries of these names stay unless --replace is given: ledger-frozen" in told.out
    assert "entries.0: field 'category': 'nonsense' is no category" in told.err
    assert "5 more problems" in told.err


def test_an_import_of_another_version_changes_nothing(office: Store, oncall: Run, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "knowledge.json"
    path.write_text(json.dumps({"format": "airflow-oncall-knowledge", "version": 9, "entries": []}))
    assert oncall("knowledge", "import", str(path)) == 1
    assert "field 'version': 9 is not read, only 1" in capsys.readouterr().err


def test_a_rollback_to_a_day_before_everything_takes_everything_out(
    office: Store, oncall: Run, answer: Callable[..., Any], capsys: Output
) -> None:
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT)
    capsys.readouterr()
    assert oncall("knowledge", "rollback", "--to", "2020-01-01") == 0
    said = capsys.readouterr().out
    assert "knowledge ledger-frozen is what it was\n1 entry changed back to 2020-01-01 00:00 UTC" in said
    assert answer("list") == []


@pytest.mark.parametrize(("date", "message"), [("yesterday", "--to has value 'yesterday'"), ("2999-01-01", "is in the future")])
def test_a_rollback_needs_a_day_of_the_past(office: Store, oncall: Run, capsys: Output, date: str, message: str) -> None:
    assert oncall("knowledge", "rollback", "--to", date) == 1
    assert message in capsys.readouterr().err


def test_lists_for_people_are_tables(office: Store, oncall: Run, capsys: Output) -> None:
    oncall("knowledge", "add", "ledger-frozen", *TAUGHT, "--notes", "[bold]not markup[/bold]")
    capsys.readouterr()
    assert oncall("knowledge", "list") == 0
    said = capsys.readouterr().out
    assert "1 entry" in said
    assert "80%" in said
