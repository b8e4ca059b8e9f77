"""Scenario files are sound, the shipped corpus keeps its promises, and what it says is still what happens."""

from __future__ import annotations

import getpass
import json
import platform
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lab.engines import ENGINES
from lab.engines.base import NotProvoked, Recording
from lab.engines.script import LAB_PYTHON, ScriptEngine
from lab.record import CORPUS, STUBS, distinct, recordings, row, rows, write
from lab.scenario import FOLDER, Scenario, read_scenarios
from lab.surroundings import STYLES, dress
from typing_extensions import Self

from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT

Row = dict[str, Any]
LEAST_SCENARIOS = 20
LEAST_VARIATIONS = 3
LEAST_HEALTHY = 500
MOST_BYTES = 10 * 2**20
PROVOKED = [path for path in sorted(CORPUS.glob("*.jsonl")) if path.stem in ENGINES]
GOOD = "engine: python\nscenarios:\n  - {id: a-b, category: code_error, transient: false, run: x, variations: [{a: b}, {a: c}, {a: d}]}\n"


@pytest.fixture(scope="module")
def corpus() -> list[Row]:
    return [json.loads(line) for path in PROVOKED for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "python_one.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("engine", ENGINES)
def test_scenarios_of_every_engine_are_valid_and_have_ids_of_their_own(engine: str) -> None:
    scenarios = list(read_scenarios(engine))
    assert scenarios
    assert len({one.id for one in scenarios}) == len(scenarios)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_file_is_short_and_of_a_known_engine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (engine,) = re.findall(r"^engine: (\w+)$", text, re.MULTILINE)
    assert engine in ENGINES
    assert path.name.startswith(f"{engine}_"), "no other engine would read it"
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
    assert len(healthy) >= LEAST_HEALTHY
    assert all(one["transient"] is None for one in healthy)


def test_labels_are_known_and_identifiers_stand_in_the_text(corpus: list[Row]) -> None:
    for one in corpus:
        assert {one["category"], *one["also"]} <= {*CATEGORIES, NO_INCIDENT}
        assert all(value in one["text"] for value in one["identifiers"].values())


USER = re.escape(getpass.getuser())
TRACES = {
    "the checkout": re.escape(str(Path(__file__).parents[2])),
    "the host": rf"(?<![\w.-]){re.escape(socket.gethostname())}(?![\w-])",
    "the kernel": re.escape(platform.release()),
    "the operating system": r"\bOS info\b",
    "the user": rf"authenticated user name \({USER}\b|acls(?: groups)? to: {USER}\b|permissions: {USER}\b",
    "the user's home": rf"(?<![\w./-]){re.escape(str(Path.home()))}(?![\w.-])",
    "the interpreter": r"\.pyenv|\.venv",
    "the lab": r"/lab-|lab/harness|lab/engines",
    "the lab's Spark": r"spark\.local\.dir will be overridden",
    "the package index": r"--(?:extra-)?index[-]url|Looking in indexes: (?!https?://[\w.-]+\.(?:internal|example)/)",
}


@pytest.mark.parametrize("trace", TRACES)
def test_nothing_of_the_machine_that_recorded_it_is_in_the_corpus(corpus: list[Row], trace: str) -> None:
    pattern = re.compile(TRACES[trace])
    found = [(one["provenance"]["scenario"], hit.group()) for one in corpus if (hit := pattern.search(one["text"]))]
    assert found == []


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_no_text_stands_twice_in_an_engine_s_corpus(path: Path) -> None:
    shipped = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert distinct(shipped) == shipped


def test_every_view_that_is_dressed_wears_every_style_about_equally(corpus: list[Row]) -> None:
    worn: dict[str, Counter[str]] = defaultdict(Counter)
    for place in (one["provenance"] for one in corpus):
        if place["surroundings"] != "as written":
            worn[f"{place['engine']} {place['view']}"][place["surroundings"]] += 1
    assert worn
    for view, counts in worn.items():
        fair = counts.total() / len(STYLES)
        assert [style for style, _ in STYLES if not fair / 2 <= counts[style] <= fair * 2] == [], view


def test_the_corpus_is_what_the_scenarios_say(corpus: list[Row]) -> None:
    known = {(engine, one.id): one for engine in ENGINES for one in read_scenarios(engine)}
    recorded: dict[tuple[str, str], set[int]] = defaultdict(set)
    for one in corpus:
        place = one["provenance"]
        told = known[place["engine"], place["scenario"]]
        recorded[place["engine"], place["scenario"]].add(place["variation"])
        assert (one["category"], tuple(one["also"])) == (told.category, told.also)
        assert place["made"] == ("stubbed" if STUBS & told.options.keys() else "provoked")
    assert recorded.keys() == known.keys()


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
    (folder / "python_one.yaml").write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(BadDataFile) as raised:
        list(read_scenarios("python", folder))
    assert f"python_one.yaml, line {line}" in str(raised.value)
    assert field in str(raised.value)


def test_a_broken_file_of_one_engine_does_not_stop_another(folder: Path) -> None:
    (folder / "spark_one.yaml").write_text("engine: [spark", encoding="utf-8")
    assert [one.id for one in read_scenarios("python", folder)] == ["a-b"]
    with pytest.raises(BadDataFile, match=r"spark_one.yaml, line \d+.*not YAML"):
        list(read_scenarios("spark", folder))


def test_a_file_that_is_named_after_another_engine_is_refused(folder: Path) -> None:
    (folder / "spark_one.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadDataFile, match=r"spark_one.yaml.*'engine'.*'python'.*'spark'"):
        list(read_scenarios("spark", folder))


def test_an_id_that_is_used_twice_names_both_files(folder: Path) -> None:
    (folder / "python_two.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadDataFile, match=r"python_two.yaml.*'a-b' is in python_one.yaml too"):
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


class Moody(Parrot):
    """Says it every second time."""

    _asked = 0

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        self._asked += 1
        return super().provoke(scenario, values) if self._asked % 2 == 0 else [Recording("nothing", "client")]


def scenario(shows: str, **more: Any) -> Scenario:
    return Scenario(id="say-it", category="code_error", transient=False, run="", shows=shows, variations=({}, {}, {}), **more)


def test_a_fault_that_does_not_show_is_an_error_that_quotes_what_was_said() -> None:
    with pytest.raises(NotProvoked, match=r"(?s)'say-it'.*does not show 'KeyError'.*polly"):
        list(rows("parrot", Parrot("polly"), scenario("KeyError")))


def test_the_label_is_the_scenario_s_and_only_identifiers_that_show_are_kept() -> None:
    made = list(rows("parrot", Parrot("KeyError: 3"), scenario("KeyError")))
    assert [one["category"] for one in made] == ["code_error"] * 3
    assert all("path" not in one["identifiers"] for one in made)
    assert len({one["provenance"]["surroundings"] for one in made}) == 3


def test_a_fault_that_does_not_show_at_once_is_provoked_once_more() -> None:
    assert len(list(rows("moody", Moody("KeyError: 3"), scenario("KeyError")))) == 3


def test_words_that_a_stub_server_was_told_are_marked() -> None:
    told = scenario("KeyError", options={"reply": {"status": 500}})
    assert {one["provenance"]["made"] for one in rows("parrot", Parrot("KeyError: 3"), told)} == {"stubbed"}
    assert {one["provenance"]["made"] for one in rows("parrot", Parrot("KeyError: 3"), scenario("KeyError"))} == {"provoked"}


def test_rows_of_the_same_words_are_kept_once() -> None:
    assert distinct([{"text": "a b"}, {"text": "a  b\n"}, {"text": "a c"}]) == [{"text": "a b"}, {"text": "a c"}]


@pytest.mark.parametrize("style", [name for name, _ in STYLES])
def test_a_healthy_run_that_prints_a_traceback_is_never_dressed_as_a_failure(style: str) -> None:
    text = "starting\nTraceback (most recent call last):\nKeyError: 3\nwent on"
    turn = [name for name, _ in STYLES].index(style)
    dressed = dress(Recording(text, "client", exit_code=0), "key", turn)
    assert dressed.style == style
    assert "KeyError: 3" in dressed.text
    assert "Task failed" not in dressed.text


def test_the_same_recording_is_dressed_the_same_again() -> None:
    made = [list(rows("parrot", Parrot("KeyError: 3"), scenario("KeyError"))) for _ in range(2)]
    assert made[0] == made[1]


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
