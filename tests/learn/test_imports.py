from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_oncall.learn.imports import GUESSED, Imported, read_incidents, write_incidents

HEADER = "timestamp,title,description,service,severity,resolution_time,solution,tags,success,category,transient\n"


def knows_heaps(text: str) -> str | None:
    """Rules that know one thing."""
    return "memory_exhaustion" if "heap" in text else None


def read(folder: Path, *rows: str) -> Imported:
    path = folder / "tickets.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows), encoding="utf-8")
    return read_incidents(path, knows_heaps, lambda text: text.replace("hunter22", "***"))


def only(folder: Path, row: str) -> dict[str, Any]:
    """The one row that comes of one incident, about which nothing is wrong."""
    found = read(folder, row)
    assert [str(problem) for problem in found.problems] == []
    return found.rows[0]


def test_title_and_description_are_the_text_and_the_rest_is_kept_beside_it(tmp_path: Path) -> None:
    row = only(tmp_path, "2026-11-01 04:05,Books,ledger frozen hunter22,books,P1,01:30:00,waited,month-end,yes,missing_data,")
    assert row["text"] == "Books\nledger frozen ***"
    assert row["given_at"] == "2026-11-01T04:05:00+00:00"
    assert row["about"] == {
        "service": "books",
        "severity": "critical",
        "resolution_time": 5400.0,
        "solution": "waited",
        "tags": "month-end",
        "success": True,
    }


@pytest.mark.parametrize(("column", "tags"), [("missing_data", ""), ("", "category:missing_data"), ("Missing Data", "category:code_error")])
def test_a_category_comes_from_its_column_or_else_a_tag(tmp_path: Path, column: str, tags: str) -> None:
    row = only(tmp_path, f"2026-11-01,Books,ledger frozen,,,,,{tags},,{column},")
    assert (row["category"], row["origin"]) == ("missing_data", "human")
    assert row["weight"] > 1


def test_without_a_category_the_rules_word_weighs_little(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-01,Books,Java heap space,,,,,,,,")
    assert found.guessed == 1
    assert (found.rows[0]["category"], found.rows[0]["origin"], found.rows[0]["weight"]) == ("memory_exhaustion", "corpus", GUESSED)


def test_what_neither_people_nor_rules_know_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-01,Books,ledger frozen,,,,,,,,")
    assert not found.rows
    assert "row 2, category: is not given, and no rule knows it" in str(found.problems[0])


@pytest.mark.parametrize(
    ("solution", "tags", "success", "transient", "expected"),
    [
        ("re-ran it", "", "yes", "", True),
        ("retried twice", "", "no", "", False),
        ("cleared the task", "", "yes", "", True),
        ("fixed the code", "", "yes", "", None),
        ("re-ran it", "", "", "", None),
        ("re-ran it", "transient:no", "yes", "", False),
        ("re-ran it", "transient:no", "yes", "yes", True),
    ],
)
def test_whether_a_re_run_helps_is_what_was_said_or_seen(
    tmp_path: Path, solution: str, tags: str, success: str, transient: str, expected: bool | None
) -> None:
    assert only(tmp_path, f"2026-11-01,Books,frozen,,,,{solution},{tags},{success},missing_data,{transient}")["transient"] is expected


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("yesterday,Books,frozen,,,,,,,missing_data,", "row 2, timestamp: is 'yesterday'; it must be like"),
        ("2026-11-01,,frozen,,,,,,,missing_data,", "row 2, title: is missing; left out"),
        ("2026-11-01,Books,frozen,,huge,,,,,missing_data,", "row 2, severity: is 'huge'; it must be one of critical"),
        ("2026-11-01,Books,frozen,,,soon,,,,missing_data,", "row 2, resolution_time: is 'soon'; it must be seconds"),
        ("2026-11-01,Books,frozen,,,,,,maybe,missing_data,", "row 2, success: is 'maybe'; it must be yes, no or empty"),
        ("2026-11-01,Books,frozen,,,,,transient:maybe,,missing_data,", "row 2, tags: transient is 'maybe'"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path, row: str, problem: str) -> None:
    assert [str(one).startswith(problem) for one in read(tmp_path, row).problems] == [True]


def test_of_the_same_failure_the_newest_row_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-02,Books,ledger 7 frozen,,,,,,,missing_data,", "2026-11-01,Books,ledger 9 frozen,,,,,,,missing_data,")
    assert [row["given_at"][:10] for row in found.rows] == ["2026-11-02"]
    assert [str(problem) for problem in found.problems] == ["row 3, title: the same as row 2 up to its numbers; left out"]


def test_people_who_disagree_are_named_and_the_newer_word_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-01,Books,ledger 7 frozen,,,,,,,missing_data,", "2026-11-02,Books,ledger 9 frozen,,,,,,,data_quality,")
    assert [row["category"] for row in found.rows] == ["data_quality"]
    assert "row 2, category: row 3 says data_quality of the same text" in str(found.problems[0])


def test_a_persons_word_counts_more_than_a_newer_guess(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-01,Books,heap 1,,,,,,,code_error,", "2026-11-02,Books,heap 2,,,,,,,,")
    assert [row["category"] for row in found.rows] == ["code_error"]
    assert found.guessed == 0


def test_the_file_is_named_after_its_source_and_replaces_an_earlier_import(tmp_path: Path) -> None:
    found = read(tmp_path, "2026-11-01,Books,frozen,,,,,,,missing_data,")
    first = write_incidents(tmp_path / "own", Path("Q4 tickets.csv"), [*found.rows, *found.rows])
    second = write_incidents(tmp_path / "own", Path("Q4 tickets.csv"), found.rows)
    assert first == second == tmp_path / "own" / "corpus" / "imported-Q4_tickets.jsonl"
    assert len(first.read_text(encoding="utf-8").splitlines()) == 1
