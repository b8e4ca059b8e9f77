"""docs/policy.md and the schema for editors tell of every field, with examples that are a good policy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from docs.policy_reference import examples, model_of, uncommented

from airflow_oncall.act.policy import Policy
from airflow_oncall.datafile import parse

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "include" / "oncall" / "policy.yaml").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "include" / "oncall" / "policy.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", Policy.model_fields)
def test_every_part_is_shown_and_told_with_its_fields(part: str) -> None:
    section = re.search(rf"^### {part}\n(.*?)(?=^### |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert section
    assert f"```yaml\n{part}:" in section[1]
    inner = model_of(Policy.model_fields[part].annotation)
    for field in inner.model_fields if inner else ():
        assert f"\n| `{field}` |" in section[1]


def test_what_is_shipped_is_told_from_what_is_an_example() -> None:
    told = dict(
        re.findall(
            r"^### (\w+)\n.*?\n(As shipped|Not set as shipped; an example|Not set as shipped; what holds then):\n\n```yaml",
            REFERENCE,
            re.DOTALL | re.MULTILINE,
        )
    )
    assert {part for part, what in told.items() if what == "As shipped"} == parse(Policy, "policy.yaml", SHIPPED).model_fields_set
    assert set(told) == set(Policy.model_fields)
    assert {part for part, what in told.items() if what.endswith("what holds then")} >= {"costs", "risk", "breaker", "storms"}
    assert "\n#  attempts_per_dag_and_hour: 40\n" in REFERENCE, "commented out in a part that is shipped"


@pytest.mark.parametrize(
    ("model", "field"), [(model, field) for model, found in SCHEMA["$defs"].items() for field in found.get("properties", {})]
)
def test_every_field_says_what_it_means(model: str, field: str) -> None:
    assert SCHEMA["$defs"][model]["properties"][field].get("description")
    assert re.search(rf"^\| `([a-z]+\.)?{field}` \|", REFERENCE, re.MULTILINE)


def test_the_shipped_file_shows_every_part_and_its_examples_are_a_good_policy() -> None:
    assert set(examples(SHIPPED)) == set(Policy.model_fields)
    whole = parse(Policy, "policy.yaml", uncommented(SHIPPED))
    assert whole.model_fields_set == set(Policy.model_fields)


def test_what_the_shipped_file_leaves_out_is_what_it_shows_unless_it_is_an_example_of_yours() -> None:
    shown, defaults = parse(Policy, "policy.yaml", uncommented(SHIPPED)), parse(Policy, "policy.yaml", SHIPPED)
    for part in ("costs", "risk", "breaker", "storms"):
        assert getattr(shown, part) == getattr(defaults, part)


def test_an_editor_finds_the_schema_beside_the_file() -> None:
    first = SHIPPED.splitlines()[0]
    assert first == "# yaml-language-server: $schema=policy.schema.json"
    assert SCHEMA["required"] == ["version", "thresholds", "budgets", "after_failure", "categories"]
