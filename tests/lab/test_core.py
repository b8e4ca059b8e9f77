"""Scenario files are sound, the shipped corpus keeps its promises, and what it says is still what happens."""

from __future__ import annotations

import json
import re
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lab.engines import ENGINES
from lab.engines.base import Recording
from lab.engines.script import LAB_PYTHON, ScriptEngine
from lab.record import CORPUS, NotProvoked, recordings, row, rows, write
from lab.scenario import FOLDER, Scenario, read_scenarios
from typing_extensions import Self

from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT

Row = dict[str, Any]
LEAST_SCENARIOS = 20
LEAST_VARIATIONS = 3
MOST_BYTES = 10 * 2**20
PROVOKED = [path for path in sorted(CORPUS.glob("*.jsonl")) if path.stem in ENGINES]
GOOD = "engine: python\nscenarios:\n  - {id: a-b, category: code_error, transient: false, run: x, variations: [{a: b}, {a: c}, {a: d}]}\n"


@pytest.fixture(scope="module")
def corpus() -> list[Row]:
    return [json.loads(line) for path in PROVOKED for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("engine", ENGINES)
def test_scenarios_of_every_engine_are_valid_and_have_ids_of_their_own(engine: str) -> None:
    scenarios = list(read_scenarios(engine))
    assert scenarios
    assert len({one.id for one in scenarios}) == len(scenarios)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_file_is_short_and_of_a_known_engine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"^engine: (\w+)$", text, re.MULTILINE)) <= set(ENGINES)
    assert text.count("\n") < 500


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_is_provoked_in_many_ways(corpus: list[Row], category: str) -> None:
    variations: dict[str, set[int]] = defaultdict(set)
    for one in corpus:
        if one["category"] == category:
            provenance = one["provenance"]
            variations[f"{provenance['engine']} {provenance['scenario']}"].add(provenance["variation"])
    assert sum(len(seen) >= LEAST_VARIATIONS for seen in variations.values()) >= LEAST_SCENARIOS


def test_healthy_runs_are_there_and_have_no_verdict_on_a_rerun(corpus: list[Row]) -> None:
    healthy = [one for one in corpus if one["category"] == NO_INCIDENT]
    assert len(healthy) >= 150
    assert all(one["transient"] is None for one in healthy)


def test_labels_are_known_and_identifiers_stand_in_the_text(corpus: list[Row]) -> None:
    for one in corpus:
        assert {one["category"], *one["also"]} <= {*CATEGORIES, NO_INCIDENT}
        assert all(value in one["text"] for value in one["identifiers"].values())


def test_nothing_of_the_machine_that_recorded_it_is_in_the_corpus(corpus: list[Row]) -> None:
    traces = [str(Path(__file__).parents[2]), "/lab-", ".pyenv", ".venv", "lab/harness", "/root/"]
    host = rf"(?<![\w.-]){re.escape(socket.gethostname())}(?![\w-])"
    pattern = re.compile("|".join((host, *map(re.escape, traces))))
    found = [(one["provenance"]["scenario"], hit.group()) for one in corpus if (hit := pattern.search(one["text"]))]
    assert found == []


def test_the_corpus_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in CORPUS.glob("*.jsonl")) <= MOST_BYTES


@pytest.mark.parametrize(
    ("change", "line", "field"),
    [
        (("code_error", "bad_luck"), 3, "scenarios.0.category"),
        (("{a: b}, {a: c}, {a: d}", "{a: b}"), 3, "scenarios.0.variations"),
        (("run: x, ", ""), 3, "scenarios.0.run"),
        (("id: a-b", "id: A B"), 3, "scenarios.0.id"),
        (("run: x", "runs: x"), 3, "scenarios.0"),
    ],
)
def test_a_bad_scenario_file_names_file_line_and_field(folder: Path, change: tuple[str, str], line: int, field: str) -> None:
    (folder / "one.yaml").write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(BadDataFile) as raised:
        list(read_scenarios("python", folder))
    assert f"one.yaml, line {line}" in str(raised.value)
    assert field in str(raised.value)


def test_an_id_that_is_used_twice_names_both_files(folder: Path) -> None:
    (folder / "two.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadDataFile, match=r"two.yaml.*'a-b' is in one.yaml too"):
        list(read_scenarios("python", folder))


class Parrot:
    """An engine that says the same whatever it is asked to break."""

    version = "Parrot 1"

    def __init__(self, says: str) -> None:
        self._says = says

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        return [Recording(self._says, "client", exit_code=1, identifiers={"path": "/in/a.csv"})]


def scenario(shows: str) -> Scenario:
    return Scenario(id="say-it", category="code_error", transient=False, run="", shows=shows, variations=({}, {}, {}))


def test_a_fault_that_does_not_show_is_an_error_that_quotes_what_was_said() -> None:
    with pytest.raises(NotProvoked, match=r"(?s)'say-it'.*does not show 'KeyError'.*polly"):
        list(rows("parrot", Parrot("polly"), [scenario("KeyError")]))


def test_the_label_is_the_scenario_s_and_only_identifiers_that_show_are_kept() -> None:
    made = list(rows("parrot", Parrot("KeyError: 3"), [scenario("KeyError")]))
    assert [one["category"] for one in made] == ["code_error"] * 3
    assert all("path" not in one["identifiers"] for one in made)
    assert len({one["provenance"]["surroundings"] for one in made}) == 3


def test_a_corpus_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[Row]:
        yield {"text": "new"}
        raise NotProvoked("stopped")

    write("parrot", [{"text": "old"}], tmp_path)
    with pytest.raises(NotProvoked):
        write("parrot", broken(), tmp_path)
    assert json.loads((tmp_path / "parrot.jsonl").read_text(encoding="utf-8")) == {"text": "old"}


SAMPLE = (
    "dict-key-missing",
    "json-malformed",
    "file-not-there",
    "disk-csv-writer",
    "ram-python-objects",
    "process-pool-broken",
    "ini-incomplete",
)


@pytest.mark.skipif(not LAB_PYTHON.exists(), reason="needs the lab's libraries: make lab")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_scenario_run_again_says_what_the_corpus_says(corpus: list[Row], name: str) -> None:
    recorded = [one for one in corpus if one["provenance"]["scenario"] == name and one["provenance"]["variation"] == 0]
    (chosen,) = (one for one in read_scenarios("python") if one.id == name)
    with ScriptEngine() as engine:
        (again,) = recordings(engine, chosen, chosen.variations[0])
    now = row("python", engine.version, chosen, 0, again, 0)
    assert now["category"] == recorded[0]["category"]
    assert again.raised[-1].message in recorded[0]["text"]
