from __future__ import annotations

import json

import pytest

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.evaluation import Answer, evaluate, measure


def example(category: str, transient: bool | None = None, group: str = "lab:a", **more: object) -> Example:
    return Example(f"a text about {category}", category, transient, group, **more)  # type: ignore[arg-type]


def test_a_second_label_counts_when_lenient() -> None:
    report = measure([example("missing_data", also=("code_error",))], [Answer("code_error", 1.0, None)])
    assert (report["accuracy_strict"], report["accuracy_lenient"], report["macro_f1_lenient"]) == (0.0, 1.0, 1.0)


def test_unknown_is_never_right() -> None:
    report = measure([example("missing_data"), example("code_error")], [Answer("unknown", 0.0, None), Answer("code_error", 0.9, False)])
    assert (report["accuracy_lenient"], report["macro_f1_lenient"]) == (0.5, 0.5)
    assert report["confusion"] == {"code_error": {"code_error": 1}, "missing_data": {"unknown": 1}}


def test_re_runs_are_judged_where_the_truth_is_known() -> None:
    truth = [True, True, False, None]
    said = [True, None, True, True]
    rows = [example("missing_data", value) for value in truth]
    report = measure(rows, [Answer("missing_data", 1.0, value) for value in said])
    assert (report["transient_precision"], report["transient_recall"]) == (0.5, 0.5)


def test_no_figure_is_made_up_where_nothing_is_known() -> None:
    report = measure([example("missing_data")], [Answer("missing_data", 1.0, None)])
    assert not {"transient_precision", "transient_recall", "false_alarms"} & set(report)
    assert measure([], []) == {"rows": 0}


def test_false_alarms_and_misses_are_told_apart() -> None:
    rows = [example("none"), example("none"), example("code_error")]
    report = measure(rows, [Answer("none", 1.0, None), Answer("code_error", 0.4, None), Answer("none", 0.9, None)])
    assert (report["false_alarms"], report["missed"]) == (0.5, 1.0)


@pytest.mark.parametrize(("confidence", "ece", "brier"), [(1.0, 0.25, 0.25), (0.75, 0.0, 0.1875)])
def test_confidence_is_held_against_the_share_of_right_answers(confidence: float, ece: float, brier: float) -> None:
    rows = [example("none")] * 4
    answers = [Answer("none", confidence, None)] * 3 + [Answer("code_error", confidence, None)]
    report = measure(rows, answers)
    assert (report["ece"], report["brier"]) == (ece, brier)
    assert [(point["rows"], point["confidence"], point["accuracy"]) for point in report["reliability"]] == [(4, confidence, 0.75)]


def test_intervals_hold_the_figure_and_shrink_with_more_groups() -> None:
    def width(groups: int) -> float:
        rows = [example("none", group=f"lab:{number}") for number in range(groups)]
        report = measure(rows, [Answer("none" if number % 2 else "code_error", 1.0, None) for number in range(groups)])
        low, high = report["intervals"]["accuracy_lenient"]
        assert low <= report["accuracy_lenient"] <= high
        return float(high - low)

    assert width(200) < width(10) / 2


def test_rows_of_one_group_stand_or_fall_together() -> None:
    rows = [example("none", group="lab:same")] * 50
    report = measure(rows, [Answer("none" if number % 2 else "code_error", 1.0, None) for number in range(50)])
    assert report["groups"] == 1
    assert report["intervals"]["accuracy_lenient"] == [0.5, 0.5]


def test_figures_are_given_by_where_labels_come_from() -> None:
    rows = [example("none", group="spark:a"), example("none", group="postgres:a"), example("none", group="x", origin="human")]
    report = measure(rows, [Answer("none", 1.0, None), Answer("code_error", 1.0, None), Answer("none", 1.0, None)])
    found = {name: figures["accuracy_lenient"] for name, figures in report["by_provenance"].items()}
    assert found == {"human": 1.0, "postgres": 0.0, "spark": 1.0}


def test_any_callable_can_be_evaluated_and_its_report_written_as_json() -> None:
    report = evaluate(lambda text: Answer(text.rsplit(" ", 1)[1], 1.0, None), [example("none"), example("code_error")])
    assert report["accuracy_strict"] == 1.0
    assert json.loads(json.dumps(report)) == report
