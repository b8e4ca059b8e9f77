from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from airflow_oncall import conf
from airflow_oncall.learn.corpus import read_corpus

Output = pytest.CaptureFixture[str]
HEADER = "timestamp,title,description,service,severity,resolution_time,solution,tags,success\n"
LEDGER = "acme.books.LedgerFrozenError: ledger of tenant 41 is frozen until the month is closed"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Four rows of two categories, nothing wrong with them."""
    path = tmp_path / "sound.jsonl"
    texts = {"KeyError: 'x'": "code_error", "NameError: y": "code_error", "read timed out": "network_timeout", "504": "network_timeout"}
    path.write_text("".join(json.dumps({"text": text, "category": name}) + "\n" for text, name in texts.items()), encoding="utf-8")
    return path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A sound row with a secret, the same again, and one without a category."""
    path = tmp_path / "faulty.csv"
    path.write_text(
        "Log,Label\nKeyError: 3 password=hunter22,Code Error\nKeyError: 3 password=hunter22,code_error\nlost,\n", encoding="utf-8"
    )
    return path


@pytest.fixture
def incidents(tmp_path: Path) -> Path:
    """Two incidents with their cause, one that rules know, one that nobody knows."""
    path = tmp_path / "tickets.csv"
    path.write_text(
        HEADER
        + f'2026-11-01 04:05,Books do not close,"{LEDGER}",books,P2,01:30:00,re-ran it after the close,category:missing_data,yes\n'
        + "2026-11-02 04:05,Report broken,NameError: name 'rows' is not defined,report,high,,fixed the code,category:code_error,yes\n"
        + "2026-11-03 04:05,Heap,java.lang.OutOfMemoryError: Java heap space password=hunter22,,,,,,\n"
        + "2026-11-04 04:05,Something is odd,somebody called,,,,,,\n",
        encoding="utf-8",
    )
    return path


def test_a_sound_file_ends_with_0(sound: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("validate-data", str(sound)) == 0
    assert capsys.readouterr().out == f"{sound}: 4 rows are fit, 0 left out, 0 mended\n"


def test_a_faulty_file_ends_with_1_and_every_row_is_named(faulty: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("validate-data", str(faulty)) == 1

    told = capsys.readouterr().out
    assert f"{faulty}: row 3, text: the same as row 2; left out" in told
    assert f"{faulty}: row 4, category: is missing; left out" in told
    assert "1 rows are fit, 2 left out, 0 mended" in told


def test_problems_for_programs_are_json(faulty: Path, oncall: Run, capsys: Output) -> None:
    oncall("validate-data", str(faulty), "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert [(problem["row"], problem["field"]) for problem in found["problems"]] == [(3, "text"), (4, "category")]


@pytest.mark.parametrize("name", ["clean.csv", "clean.jsonl"])
def test_a_cleaned_file_is_sound_and_holds_no_secret(faulty: Path, tmp_path: Path, oncall: Run, name: str) -> None:
    assert oncall("validate-data", str(faulty), "--clean", str(tmp_path / name)) == 0

    assert "hunter22" not in (tmp_path / name).read_text(encoding="utf-8")
    assert oncall("validate-data", str(tmp_path / name)) == 0


def test_a_disk_that_is_full_leaves_the_older_clean_file(
    faulty: Path, tmp_path: Path, oncall: Run, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    out = tmp_path / "clean.csv"
    out.write_text("older", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    assert oncall("validate-data", str(faulty), "--clean", str(out)) == 1

    assert f"oncall: {out}: cannot be written: No space left on device; nothing was changed" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "older"


def test_a_file_of_which_nothing_is_left_is_not_written(tmp_path: Path, oncall: Run, capsys: Output) -> None:
    path = tmp_path / "lost.jsonl"
    path.write_text("[]\n", encoding="utf-8")

    assert oncall("validate-data", str(path), "--clean", str(tmp_path / "out.jsonl")) == 1

    assert "no row is fit" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_the_next_training_learns_from_imported_incidents(own: Path, incidents: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("import-incidents", str(incidents), "--format", "json") == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["imported"], told["guessed"]) == (3, 1)
    learned = {one.text.splitlines()[0]: one for one in read_corpus()}
    assert len(learned) > told["imported"], "the shipped corpus is there too"
    assert (learned["Books do not close"].category, learned["Books do not close"].transient) == ("missing_data", True)
    assert learned["Books do not close"].origin == "human"
    assert learned["Heap"].category == "memory_exhaustion"
    assert learned["Heap"].weight < 1 < learned["Books do not close"].weight
    assert "hunter22" not in learned["Heap"].text


def test_an_import_tells_what_it_guessed_and_what_it_left_out(own: Path, incidents: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("import-incidents", str(incidents)) == 0

    told = capsys.readouterr().out
    assert f"{incidents}: row 5, category: is not given, and no rule knows it" in told
    assert "3 incidents; the next training learns from them" in told
    assert "1 of them have no category: the rules' word is used, with little weight" in told


def test_an_import_can_be_repeated(own: Path, incidents: Path, oncall: Run) -> None:
    oncall("import-incidents", str(incidents))
    before = (own / "corpus" / "imported-tickets.jsonl").read_bytes()

    oncall("import-incidents", str(incidents))

    assert [path.name for path in (own / "corpus").iterdir()] == ["imported-tickets.jsonl"]
    assert (own / "corpus" / "imported-tickets.jsonl").read_bytes() == before


def test_a_csv_with_missing_columns_names_them(own: Path, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text("timestamp,service\n2026-11-01,books\n", encoding="utf-8")

    assert oncall("import-incidents", str(path)) == 1

    problem = f"oncall: {path}, line 1: field 'title, description': the column is missing; there are timestamp, service\n"
    assert capsys.readouterr().err == problem


def test_an_import_of_which_nothing_is_left_changes_nothing(own: Path, tmp_path: Path, oncall: Run, capsys: Output) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text(HEADER + "yesterday,Odd,somebody called,,,,,,\n", encoding="utf-8")

    assert oncall("import-incidents", str(path)) == 1

    told = capsys.readouterr()
    assert "row 2, timestamp: is 'yesterday'" in told.out
    assert "nothing is imported" in told.err
    assert not own.exists()


def test_a_folder_that_cannot_be_written_is_named(own: Path, incidents: Path, oncall: Run, capsys: Output) -> None:
    own.write_text("a file where a folder should be", encoding="utf-8")

    assert oncall("import-incidents", str(incidents)) == 1

    assert f"{conf.include_paths()[0]}" in capsys.readouterr().err
