"""The file that people exchange, and files that only look like it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cast import MIDNIGHT
from tests.knowledge.people import entry

from airflow_oncall.errors import BadDataFile
from airflow_oncall.knowledge import exchange
from airflow_oncall.knowledge.exchange import FORMAT, VERSION, read_file, schema, write_file
from airflow_oncall.store.knowledge import Tally

FROZEN = {"name": "ledger-frozen", "category": "missing_data", "pattern": "is frozen", "actions": ["clear_task"], "confidence": 0.8}
Write = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Writes a file of these entries."""

    def write(*entries: Any, **about: Any) -> Path:
        path = tmp_path / "knowledge.json"
        whole = {"format": FORMAT, "version": VERSION, "exported_at": "2026-11-21T00:00:00Z", "entries": entries} | about
        path.write_text(json.dumps(whole), encoding="utf-8")
        return path

    return write


@pytest.fixture
def text_file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes a file of these bytes."""

    def write(content: bytes) -> Path:
        path = tmp_path / "knowledge.json"
        path.write_bytes(content)
        return path

    return write


def test_what_is_written_is_read(tmp_path: Path) -> None:
    whole = entry(actions=["clear_task"], tags=["books"], runbook="https://wiki.example/x").changed(MIDNIGHT, confidence=0.4)
    write_file(tmp_path / "k.json", [whole], {}, MIDNIGHT)
    assert read_file(tmp_path / "k.json") == ([whole], [])


def test_what_was_seen_goes_with_it(tmp_path: Path) -> None:
    known = entry(fingerprint="F1", elsewhere={"clear_task": {"successes": 2}})
    write_file(tmp_path / "k.json", [known], {"F1": {"clear_task": Tally(5, 1)}}, MIDNIGHT)
    (read,) = read_file(tmp_path / "k.json").entries
    assert (read.elsewhere["clear_task"].successes, read.elsewhere["clear_task"].failures) == (7, 1)


def test_what_others_believe_counts_less_when_told_so(file: Write) -> None:
    path = file(FROZEN | {"elsewhere": {"clear_task": {"successes": 10, "failures": 4}}})
    (read,) = read_file(path, confidence_adjustment=0.5).entries
    assert (read.confidence, read.elsewhere["clear_task"].successes, read.elsewhere["clear_task"].failures) == (0.4, 5, 2)


def test_what_is_wrong_is_named_and_the_rest_is_read(file: Write) -> None:
    path = file(
        FROZEN,
        FROZEN | {"notes": "the second of its name"},
        FROZEN | {"name": "link", "runbook": "javascript:alert(1)"},
        FROZEN | {"name": "sure", "confidence": 7},
        FROZEN | {"name": "own", "power": "root"},
        "not an entry",
        FROZEN | {"name": "fine", "notes": "login with password=hunter22"},
    )
    read = read_file(path)
    assert [one.name for one in read.entries] == ["ledger-frozen", "fine"]
    assert "hunter22" not in read.entries[1].notes
    assert [problem.split(":")[0] for problem in read.problems] == [f"entries.{number}" for number in range(1, 6)]
    assert "'ledger-frozen' stands twice; the first one counts" in read.problems[0]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"version": 2}, "field 'version': 2 is not read, only 1"),
        ({"version": "1"}, "field 'version'"),
        ({"version": None}, "field 'version'"),
        ({"format": "another"}, "no file of knowledge"),
        ({"entries": {"a": 1}}, "field 'entries': it must be a list"),
        ({"entries": None}, "field 'entries'"),
    ],
)
def test_a_file_of_another_kind_is_refused(file: Write, about: dict[str, Any], message: str) -> None:
    with pytest.raises(BadDataFile, match=message):
        read_file(file(FROZEN, **about))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"a":' * 200_000, "not JSON"),
        (b'{"format": "a", "format": "b"}', "key 'format' stands twice"),
        (b'{"confidence": NaN}', "NaN is no number"),
        (b'{"confidence": -Infinity}', "-Infinity is no number"),
        (b"[]", "no file of knowledge"),
        (b"7", "no file of knowledge"),
    ],
)
def test_hostile_content_is_refused(text_file: Callable[[bytes], Path], content: bytes, message: str) -> None:
    with pytest.raises(BadDataFile, match=message):
        read_file(text_file(content))


def test_an_entry_nested_without_end_is_left_out(file: Write) -> None:
    nested: Any = "x"
    for _ in range(400):
        nested = [nested]
    read = read_file(file(FROZEN | {"tags": nested}))
    assert read.entries == []
    assert read.problems[0].startswith("entries.0: field 'tags")


def test_a_huge_file_is_refused_before_it_is_read(file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_BYTES", 10)
    with pytest.raises(BadDataFile, match="split it"):
        read_file(file(FROZEN))


def test_too_many_entries_are_refused(file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_ENTRIES", 1)
    with pytest.raises(BadDataFile, match="at most 1 entries"):
        read_file(file(FROZEN, FROZEN))


def test_the_schema_names_what_a_file_holds() -> None:
    found = schema()
    assert set(found["properties"]) == {"format", "version", "exported_at", "entries"}
    assert found["properties"]["version"]["const"] == VERSION
    assert "runbook" in found["$defs"]["Entry"]["properties"]
