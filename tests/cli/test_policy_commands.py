"""``policy check`` and ``policy explain``: what a policy says, on which line, and which line decides."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run
from tests.simulated_airflow import SimulatedAirflow
from tests.simulated_world import Dag
from tests.tick.scene import ORDERS, sign_in

from airflow_oncall import conf
from airflow_oncall.cli import invented

Output = pytest.CaptureFixture[str]
INCLUDE = Path(__file__).parents[2] / "include" / "oncall"
MINE = """version: 1
mode: auto
thresholds: {auto: 0.6, ask: 0.25}
budgets: {attempts_per_task_instance: 6, attempts_per_hour: 100}
after_failure: {probability_factor: 0.8, wait_factor: 2}
categories:
  rate_limit: {action: clear_task, wait_seconds: 30}
  network_timeout: {action: clear_task}
  code_error: {action: escalate}
  data_quality: {action: skip}
always_ask: [billing_*]
quiet_hours:
  - {start: "22:00", end: "06:00"}
maintenance:
  - {start: 2026-12-05T20:00:00Z, end: 2026-12-05T23:00:00Z, dags: [warehouse]}
overrides:
  - {match: {tag: "team:sales"}, thresholds: {auto: 0.9, ask: 0.5}}
  - {match: {dag: shadowed}, mode: shadow}
  - {match: {dag: careful}, mode: ask}
  - {match: {dag: broke}, budgets: {attempts_per_hour: 0}}
  - {match: {dag: precious}, costs: {repaired_run: 1, wrong_action: 9}}
"""


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's include folder with a policy in it."""
    monkeypatch.setattr(conf, "include_paths", lambda: [home / "own", INCLUDE])
    (home / "own").mkdir()
    (home / "own" / "policy.yaml").write_text(MINE, encoding="utf-8")
    return home / "own"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedAirflow]:
    """An Airflow that answers, with the nightly orders of the sales team."""
    with SimulatedAirflow() as airflow:
        airflow.fail(ORDERS)
        airflow.dags["nightly"].tags = ("team:sales",)
        monkeypatch.setattr(invented, "open_api", lambda: sign_in(airflow.url))
        yield airflow


def explained(oncall: Run, capsys: Output, *words: str) -> dict[str, Any]:
    """What ``policy explain`` answers programs, on a quiet noon unless told otherwise."""
    at = () if "--at" in words else ("--at", "2026-11-21T12:00")
    assert oncall("policy", "explain", *words, *at, "--format", "json") == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def deciding(answer: dict[str, Any]) -> tuple[str, str]:
    """Place and ``file:line`` that decided."""
    first = answer["policy"][0]
    assert first["what"] == "decided by"
    return first["value"], Path(first["where"]).name


@pytest.mark.usefixtures("no_airflow")
@pytest.mark.parametrize(
    ("words", "verdict", "place", "where"),
    [
        (("nightly", "load", "rate_limit"), "wait", "thresholds.auto", "policy.yaml:3"),
        (("nightly", "load", "network_timeout", "--probability", "0.6"), "auto", "thresholds.auto", "policy.yaml:3"),
        (("nightly", "load", "rate_limit", "--probability", "0.5"), "ask", "thresholds.auto", "policy.yaml:3"),
        (("nightly", "load", "rate_limit", "--probability", "0.1"), "escalate", "thresholds.ask", "policy.yaml:3"),
        (("nightly", "load", "code_error"), "escalate", "categories.code_error", "policy.yaml:9"),
        (("nightly", "load", "missing_data"), "escalate", "categories", "policy.yaml:6"),
        (("billing_1", "load", "rate_limit"), "ask", "always_ask.0", "policy.yaml:11"),
        (("shadowed", "load", "rate_limit"), "observe", "overrides.1.mode", "policy.yaml:18"),
        (("careful", "load", "rate_limit"), "ask", "overrides.2.mode", "policy.yaml:19"),
        (("broke", "load", "rate_limit"), "escalate", "overrides.3.budgets.attempts_per_hour", "policy.yaml:20"),
        (("precious", "load", "rate_limit", "--probability", "0.8"), "ask", "overrides.4.costs", "policy.yaml:21"),
        (("warehouse", "load", "rate_limit", "--at", "2026-12-05T21:30+01:00"), "wait", "maintenance.0", "policy.yaml:15"),
        (("careful", "load", "rate_limit", "--at", "2026-11-21T23:00"), "wait", "quiet_hours", "policy.yaml:12"),
        (("oncall_train", "train", "rate_limit"), "escalate", "what was found, declared or paused, not the policy", ""),
    ],
)
def test_the_line_that_decides_is_named(
    own: Path, oncall: Run, capsys: Output, words: tuple[str, ...], verdict: str, place: str, where: str
) -> None:
    answer = explained(oncall, capsys, *words)
    assert (answer["verdict"], *deciding(answer)) == (verdict, place, where)


@pytest.mark.usefixtures("no_airflow")
def test_what_the_rest_of_the_policy_says_is_shown_with_its_lines(own: Path, oncall: Run, capsys: Output) -> None:
    said = {
        (one["what"], one["value"], Path(one["where"]).name) for one in explained(oncall, capsys, "careful", "load", "rate_limit")["policy"]
    }
    assert ("rule", "clear_task, after 30 s", "policy.yaml:7") in said
    assert ("budget", "attempts_per_hour 100", "policy.yaml:4") in said
    assert ("costs", "repaired_run 10, attempt_minute 0.02, wrong_action 4", "default") in said


def test_tags_that_airflow_knows_choose_overrides(own: Path, airflow: SimulatedAirflow, oncall: Run, capsys: Output) -> None:
    answer = explained(oncall, capsys, "nightly", "load_orders", "rate_limit", "--probability", "0.7")
    assert (answer["verdict"], *deciding(answer)) == ("ask", "overrides.0.thresholds.auto", "policy.yaml:17")


def test_a_task_that_airflow_does_not_know_is_explained_by_its_name(
    own: Path, airflow: SimulatedAirflow, oncall: Run, capsys: Output
) -> None:
    assert oncall("policy", "explain", "nowhere", "load", "rate_limit", "--at", "2026-11-21T12:00") == 0
    written = capsys.readouterr()
    assert "this Airflow has no nowhere.load" in written.err
    assert "-> clear_task without asking, after 30 s" in written.out
    assert f"Decided by thresholds.auto at {own / 'policy.yaml'}:3" in written.out


@pytest.mark.usefixtures("no_airflow")
def test_another_policy_can_be_tried_before_it_is_in_force(own: Path, home: Path, oncall: Run, capsys: Output) -> None:
    other = home / "other.yaml"
    other.write_text(MINE.replace("auto: 0.6", "auto: 0.95"), encoding="utf-8")
    assert explained(oncall, capsys, "nightly", "load", "rate_limit", "--policy", str(other))["verdict"] == "ask"
    assert explained(oncall, capsys, "nightly", "load", "rate_limit")["verdict"] == "wait"


@pytest.mark.usefixtures("no_airflow")
def test_the_zone_of_this_machine_does_not_matter(own: Path, oncall: Run, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert deciding(explained(oncall, capsys, "careful", "load", "rate_limit", "--at", "2026-11-21T23:00"))[0] == "quiet_hours"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.usefixtures("no_airflow")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "noon"), "--at has value 'noon'"),
        (("--policy", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_explained_fails_in_one_line(own: Path, oncall: Run, capsys: Output, words: tuple[str, ...], told: str) -> None:
    assert oncall("policy", "explain", "nightly", "load", "rate_limit", *words) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [("rate_limit", "--probability", "1.5"), ("bad_luck",)])
def test_arguments_that_make_no_sense_are_refused(own: Path, oncall: Run, words: tuple[str, ...]) -> None:
    assert oncall("policy", "explain", "nightly", "load", *words) == 2


def test_check_of_a_good_policy_tells_what_may_not_be_meant(own: Path, airflow: SimulatedAirflow, oncall: Run, capsys: Output) -> None:
    airflow.dags |= {name: Dag() for name in ("shadowed", "careful", "broke", "warehouse", "billing_1")}
    assert oncall("policy", "check") == 0
    path = own / "policy.yaml"
    *told, last = capsys.readouterr().out.splitlines()
    assert f"{path}:10: categories.data_quality.action: a person decides on skip, whatever the thresholds say" in told
    assert f"{path}:20: overrides.3.budgets.attempts_per_hour: 0: no action is ever made under it" in told
    assert f"{path}:21: overrides.4.match.dag: no DAG of this Airflow fits 'precious'" in told
    assert last == f"{path} is good; {len(told)} of what it says may not be meant"


@pytest.mark.usefixtures("no_airflow")
def test_check_answers_programs_in_json_and_does_not_need_an_airflow(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("policy", "check", "--format", "json") == 0
    written = capsys.readouterr()
    told = json.loads(written.out)
    assert (told["file"], {one["line"] for one in told["doubts"]}) == (str(own / "policy.yaml"), {6, 10, 20})
    assert "nothing is asked of Airflow" in written.err


@pytest.mark.usefixtures("no_airflow")
def test_check_of_a_wrong_policy_ends_with_1_and_names_file_line_and_field(own: Path, oncall: Run, capsys: Output) -> None:
    path = own / "wrong.yaml"
    path.write_text(MINE.replace("wait_seconds: 30", "wait_seconds: soon"), encoding="utf-8")
    assert oncall("policy", "check", str(path)) == 1
    assert capsys.readouterr().err.startswith(f"oncall: {path}, line 7: field 'categories.rate_limit.wait_seconds': ")


@pytest.mark.usefixtures("no_airflow")
def test_check_of_the_shipped_policy_finds_nothing(own: Path, oncall: Run, capsys: Output) -> None:
    (own / "policy.yaml").unlink()
    assert oncall("policy", "check") == 0
    assert capsys.readouterr().out == f"{INCLUDE / 'policy.yaml'} is good\n"


def test_a_policy_of_ones_own_begins_as_the_shipped_one(own: Path, oncall: Run, capsys: Output) -> None:
    (own / "policy.yaml").unlink()
    assert oncall("policy", "init") == 0
    assert f"{own / 'policy.yaml'}: a copy of the shipped policy" in capsys.readouterr().out
    assert (own / "policy.yaml").read_bytes() == (INCLUDE / "policy.yaml").read_bytes()
    assert (own / "policy.schema.json").read_bytes() == (INCLUDE / "policy.schema.json").read_bytes()


def test_a_policy_that_is_there_is_not_written_over(own: Path, oncall: Run, capsys: Output) -> None:
    assert oncall("policy", "init") == 1
    assert "policy.yaml is there already; edit it" in capsys.readouterr().err
    assert (own / "policy.yaml").read_text(encoding="utf-8") == MINE
