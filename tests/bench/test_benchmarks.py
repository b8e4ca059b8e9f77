from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import benchmarks.__main__ as bench
import pytest
from benchmarks import classify
from benchmarks.measuring import Result, medians_in_turn, result
from benchmarks.texts import corpus, varied
from tests.tables import table_text

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report of an earlier run, and suites that take no time."""
    path = tmp_path / "bench-report.json"
    path.write_text(json.dumps({"old": result(1, 1, "ms")}))
    monkeypatch.setattr(bench, "REPORT", path)

    def load(name: str) -> SimpleNamespace:
        return SimpleNamespace(measure=lambda home: {name.removeprefix("benchmarks."): result(3, 2, "ms")})

    monkeypatch.setattr(bench, "importlib", SimpleNamespace(import_module=load))
    return path


def read(report: Path) -> dict[str, Result]:
    content: dict[str, Result] = json.loads(report.read_text())
    return content


def test_a_ratio_is_ours_to_the_peers() -> None:
    assert result(3.0, 2.0, "ms") == {"value": 3.0, "unit": "ms", "peer": 2.0, "ratio": 1.5}


def test_sides_are_timed_in_turn_and_the_warm_up_does_not_count() -> None:
    called, now = list[str](), SimpleNamespace(seconds=0.0)

    def side(name: str, *seconds: float) -> Callable[[int], None]:
        def run(number: int) -> None:
            called.append(f"{name}{number}")
            now.seconds += seconds[number]

        return run

    sides = [side("a", 100, 1, 9, 2), side("b", 100, 5, 5, 5)]
    assert medians_in_turn(sides, rounds=3, clock=lambda: float(now.seconds)) == [2, 5]
    assert called == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]


def test_every_further_round_through_the_corpus_reads_differently() -> None:
    examples = [example for example in corpus() if sum(map(str.isdigit, example.text)) > 8][:50]
    many = varied(examples, 150)
    assert len(many) == 150
    assert len({example.text for example in many}) > 145
    assert [example.category for example in many] == [example.category for example in examples] * 3


def test_a_whole_run_leaves_nothing_of_an_earlier_one(report: Path) -> None:
    assert bench.main([]) == 0
    assert set(read(report)) == set(bench.SUITES)


def test_a_single_suite_leaves_the_others_as_they_were(report: Path) -> None:
    assert bench.main(["classify"]) == 0
    assert set(read(report)) == {"old", "classify"}


def test_an_unknown_suite_is_named(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["clasify"])
    assert f"unknown: clasify; the suites are {', '.join(bench.SUITES)}" in capsys.readouterr().err
    assert set(read(report)) == {"old"}


def test_a_table_that_differs_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "corpus", lambda: corpus()[:60])
    monkeypatch.setattr(classify, "difference", lambda *args: 0.5)
    with pytest.raises(SystemExit, match=r"differs from its models by 0\.5"):
        classify.measure(tmp_path)


@pytest.mark.parametrize(("before", "code"), [("", 0), ("import numpy\n", 1)], ids=["nothing heavy", "numpy"])
def test_a_cold_start_that_loads_a_heavy_library_is_no_measurement(tmp_path: Path, before: str, code: int) -> None:
    path = tmp_path / "table.json"
    path.write_text(table_text(["disk"], {"storage_exhaustion": {"disk": 1}, "none": {}}))
    command = [sys.executable, "-c", before + classify._COLD, str(path), "disk full"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(PLUGINS)})
    assert done.returncode == code, done.stderr
    assert done.stdout.strip() == "storage_exhaustion"
