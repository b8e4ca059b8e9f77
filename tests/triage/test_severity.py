from __future__ import annotations

import pytest

from airflow_oncall.triage.severity import severity


@pytest.mark.parametrize(
    ("category", "critical", "downstream", "level"),
    [
        ("code_error", False, 0, "low"),
        ("code_error", False, 30, "medium"),
        ("data_quality", False, 30, "high"),
        ("code_error", True, 0, "medium"),
        ("infrastructure_failure", True, 1, "critical"),
    ],
)
def test_severity_adds_up_what_depends_on_it(category: str, critical: bool, downstream: int, level: str) -> None:
    assert severity(category, critical=critical, downstream=downstream).level == level


def test_every_point_has_its_reason() -> None:
    found = severity("storage_exhaustion", critical=True, downstream=1)
    assert found.reasons == (
        "the DAG is critical (+4)",
        "1 task downstream cannot run (+1)",
        "storage_exhaustion seldom stays with one task (+2)",
    )
    assert found.level == "critical", "seven points"
