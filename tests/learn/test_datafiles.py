from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_oncall.errors import BadDataFile
from airflow_oncall.learn.datafiles import REQUIRED, Checked, check, examples
from airflow_oncall.learn.rows import Row, append_row, read_rows, write_rows

HEAP, TIMEOUT = "java.lang.OutOfMemoryError: Java heap space", "requests.exceptions.ReadTimeout: read timed out"


def checked(path: Path, content: str | bytes) -> Checked:
    """What comes of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return check(read_rows(path, REQUIRED), lambda text: text.replace("hunter22", "***"))


def lines(*rows: Mapping[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    return tmp_path / "failures.jsonl"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "failures.csv"


def said(found: Checked) -> list[str]:
    return [str(problem) for problem in found.problems]


# what is normalised


@pytest.mark.parametrize(
    "columns", [("text", "category"), ("Log", "Label"), ("error message", "Root-Cause"), ("MESSAGE", "class")], ids=lambda names: names[0]
)
def test_columns_are_known_by_their_usual_names(jsonl: Path, columns: tuple[str, str]) -> None:
    (row,) = checked(jsonl, lines(dict(zip(columns, (HEAP, "memory_exhaustion"), strict=True)))).rows
    assert row.values == {"text": HEAP, "category": "memory_exhaustion"}


def test_an_alias_gives_way_to_the_usual_name(jsonl: Path) -> None:
    (row,) = checked(jsonl, lines({"message": "what it said", "text": HEAP, "category": "memory_exhaustion"})).rows
    assert (row.values["text"], row.values["message"]) == (HEAP, "what it said")


@pytest.mark.parametrize(
    ("written", "meant"), [("Memory Exhaustion", "memory_exhaustion"), (" CODE-ERROR", "code_error"), ("benign", "none"), ("none", "none")]
)
def test_categories_are_known_by_what_is_meant(jsonl: Path, written: str, meant: str) -> None:
    (row,) = checked(jsonl, lines({"text": HEAP, "category": written})).rows
    assert row.values["category"] == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-21 04:05", "2026-11-21T04:05:00+00:00"),
        ("2026-11-21T04:05:06+02:00", "2026-11-21T02:05:06+00:00"),
        ("2026-11-21", "2026-11-21T00:00:00+00:00"),
        (1795234567, "2026-11-21T04:16:07+00:00"),
    ],
)
def test_times_become_utc(jsonl: Path, written: object, meant: str) -> None:
    found = checked(jsonl, lines({"text": HEAP, "category": "memory_exhaustion", "time": written}))
    assert found.rows[0].values["timestamp"] == meant
    assert not found.problems


def test_secrets_are_masked(jsonl: Path) -> None:
    (row,) = checked(jsonl, lines({"text": "login hunter22", "category": "authentication", "note": "hunter22"})).rows
    assert "hunter22" not in str(row)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_is_read_with_its_own_delimiter_and_line_breaks_in_cells(table: Path, delimiter: str) -> None:
    cells = delimiter.join(('"line one\nline two"', "code_error"))
    found = checked(table, f"text{delimiter}category\r\n{cells}\r\n".encode("utf-8-sig"))
    assert [(row.number, row.values["text"]) for row in found.rows] == [(2, "line one\nline two")]


# what is wrong with a row


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"category": "none"}', "row 2, text: is missing; left out"),
        ('{"text": "x"}', "row 2, category: is missing; left out"),
        ('{"text": NaN, "category": "none"}', "row 2, text: is nan; left out"),
        ('{"text": "NaN", "category": "none"}', "row 2, text: is 'NaN'; left out"),
        ('{"text": 3, "category": "none"}', "row 2, text: is 3, not text; left out"),
        ('{"text": "x", "category": "code_eror"}', "row 2, category: is 'code_eror'; did you mean code_error?; left out"),
        ("[1]", "row 2: is '[1]', not an object; left out"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_by_its_number(jsonl: Path, row: str, problem: str) -> None:
    found = checked(jsonl, f"\n{row}\n" + lines({"text": HEAP, "category": "memory_exhaustion"}))
    assert said(found) == [problem]
    assert [one.number for one in found.rows] == [3]
    assert found.left_out == 1


def test_broken_json_names_its_row(jsonl: Path) -> None:
    (problem,) = said(checked(jsonl, '{"text": "x", \n'))
    assert problem.startswith("row 1: not JSON: ")


def test_an_unknown_category_is_told_the_known_ones(jsonl: Path) -> None:
    (problem,) = said(checked(jsonl, lines({"text": HEAP, "category": "xyz"})))
    assert "it must be one of database_connectivity" in problem


@pytest.mark.parametrize(("column", "value"), [("transient", "perhaps"), ("timestamp", "yesterday"), ("also", "moon_phase")])
def test_a_wrong_value_that_is_not_needed_is_left_empty(jsonl: Path, column: str, value: str) -> None:
    found = checked(jsonl, lines({"text": HEAP, "category": "memory_exhaustion", column: value}))
    (problem,) = said(found)
    assert problem.startswith(f"row 1, {column}: is {value!r}")
    assert problem.endswith("left empty")
    assert found.rows[0].values[column] is None
    assert found.left_out == 0


def test_bytes_that_are_not_utf_8_are_read_and_named(table: Path) -> None:
    found = checked(table, b"text,category\nok,code_error\n" + "café,code_error\n".encode("cp1252"))
    assert said(found) == ["row 3: byte 4 is not UTF-8; read as Windows-1252"]
    assert found.rows[1].values["text"] == "café"


def test_too_many_cells_are_named_by_their_row(table: Path) -> None:
    (problem,) = said(checked(table, "text,category\nread, then lost,network_timeout\n"))
    assert problem.startswith("row 2: has 3 cells, the header 2")


def test_too_few_cells_leave_the_last_columns_empty(table: Path) -> None:
    assert said(checked(table, "text,category\nlost\n")) == ["row 2, category: is missing; left out"]


# rows against each other


def test_a_repeated_row_is_left_out(jsonl: Path) -> None:
    found = checked(jsonl, lines(*({"text": f" {HEAP} ", "category": "memory_exhaustion"} for _ in range(3))))
    assert said(found) == ["row 2, text: the same as row 1; left out", "row 3, text: the same as row 1; left out"]


def test_conflicting_labels_are_both_left_out(jsonl: Path) -> None:
    found = checked(jsonl, lines({"text": HEAP, "category": "memory_exhaustion"}, {"text": HEAP, "category": "code_error"}))
    assert not found.rows
    assert all("in rows 1 (memory_exhaustion), 2 (code_error); decide which is right; left out" in problem for problem in said(found))


def test_labels_that_accept_each_other_do_not_conflict(jsonl: Path) -> None:
    found = checked(
        jsonl, lines({"text": HEAP, "category": "memory_exhaustion", "also": ["code_error"]}, {"text": HEAP, "category": "code_error"})
    )
    assert [row.values["category"] for row in found.rows] == ["memory_exhaustion"]


def test_rows_that_disagree_on_re_runs_keep_their_category(jsonl: Path) -> None:
    row = {"text": HEAP, "category": "memory_exhaustion"}
    found = checked(jsonl, lines({**row, "transient": True}, {**row, "transient": False}))
    assert "row 1, transient: the same text says otherwise in row 2; left empty" in said(found)
    assert found.rows[0].values["transient"] is None


def test_a_duplicate_id_is_dropped_and_its_row_kept(jsonl: Path) -> None:
    found = checked(
        jsonl, lines({"id": 7, "text": HEAP, "category": "memory_exhaustion"}, {"id": 7, "text": TIMEOUT, "category": "network_timeout"})
    )
    assert said(found) == ["row 2, id: 7 is the id of row 1 too; the row goes on without one"]
    assert [row.values["id"] for row in found.rows] == [7, None]


def test_a_file_of_one_category_is_told(jsonl: Path) -> None:
    found = checked(jsonl, lines({"text": HEAP, "category": "memory_exhaustion"}))
    assert found.notes == ("every row is of category memory_exhaustion; a training needs at least two",)


def test_a_category_of_one_kind_of_failure_is_told(jsonl: Path) -> None:
    found = checked(
        jsonl,
        lines(
            {"text": "worker 1 lost", "category": "infrastructure_failure"},
            {"text": "worker 2 lost", "category": "infrastructure_failure"},
            {"text": HEAP, "category": "memory_exhaustion"},
            {"text": "exit code 137", "category": "memory_exhaustion"},
        ),
    )
    assert found.notes == ("category infrastructure_failure has one kind of failure only; how well it is learned cannot be measured",)


# what is wrong with a whole file


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"text,label_of_mine\nx,y\n", r"a\.csv, line 1: field 'category': the column is missing; there are text, label_of_mine"),
        ("a.csv", b"text,category,Text\n", r"line 1: field 'text': named by two columns"),
        ("a.csv", b'text,category\n"lost,code_error\n', r"a\.csv, line 2: not CSV"),
        ("a.csv", "text,category\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.jsonl", b" \n", "is empty"),
        ("a.xlsx", b"PK", r"is neither \.csv nor \.jsonl"),
    ],
    ids=["missing column", "column twice", "open quote", "UTF-16", "empty", "another kind"],
)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadDataFile, match=problem):
        read_rows(tmp_path / name, REQUIRED)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataFile, match=r"nowhere\.csv: cannot be read: No such file"):
        read_rows(tmp_path / "nowhere.csv", REQUIRED)


# use


def test_texts_that_differ_in_numbers_only_are_one_group(jsonl: Path) -> None:
    rows = checked(jsonl, lines(*({"text": f"worker {n} lost", "category": "infrastructure_failure"} for n in (1, 2)))).rows
    first, second = examples(rows)
    assert first.group == second.group


def test_a_corpus_row_keeps_its_group_and_its_second_label(jsonl: Path) -> None:
    provenance = {"engine": "spark", "scenario": "heap"}
    row = {"text": HEAP, "category": "memory_exhaustion", "also": ["code_error"], "transient": None, "provenance": provenance}
    (example,) = examples(checked(jsonl, lines(row)).rows)
    assert (example.group, example.also, example.transient) == ("spark:heap", ("code_error",), None)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_what_was_written_reads_the_same(tmp_path: Path, jsonl: Path, ending: str) -> None:
    row = {"text": 'a "quoted"\nline, and é', "category": "code_error", "also": "data_quality", "transient": "no", "time": "2026-11-21"}
    before = checked(jsonl, lines(row))
    write_rows(tmp_path / f"out{ending}", before.rows)

    after = check(read_rows(tmp_path / f"out{ending}", REQUIRED), str)

    assert [one.values for one in after.rows] == [one.values for one in before.rows]
    assert not after.problems


def test_a_file_of_another_kind_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadDataFile, match=r"neither \.csv nor \.jsonl"):
        write_rows(tmp_path / "out.parquet", [Row(1, {"text": "x"})])


def test_appended_rows_stand_below_each_other(tmp_path: Path) -> None:
    for number in (1, 2):
        append_row(tmp_path / "deep" / "answers.jsonl", {"number": number})
    assert (tmp_path / "deep" / "answers.jsonl").read_text(encoding="utf-8") == '{"number": 1}\n{"number": 2}\n'


def test_appending_to_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadDataFile, match="cannot be written: Is a directory"):
        append_row(tmp_path, {})
