"""What is written of the policy's schema: ``policy.schema.json`` for editors, and the reference in docs/policy.md.

The examples are the parts of the shipped ``policy.yaml`` itself; those that stand there commented out are
taken in, and it is said of each which it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_oncall.act.policy import Policy
from airflow_oncall.datafile import parse

_PART = re.compile(r"^#?([a-z_]+):")


def schema() -> str:
    """include/oncall/policy.schema.json."""
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}, indent=2) + "\n"


def uncommented(policy: str) -> str:
    """The shipped policy with all that stands there commented out as an example."""
    return re.sub(r"^#(?=[a-z_]+:|  )", "", policy, flags=re.MULTILINE)


def shipped(policy: str) -> set[str]:
    """The parts that the shipped policy sets."""
    return set(re.findall(r"^([a-z_]+):", policy, re.MULTILINE))


def examples(policy: str) -> dict[str, str]:
    """Of each part its lines, comments between parts left out: of a shipped one as they are, of others without their ``#``."""
    found: dict[str, list[str]] = {}
    part, in_force = "", shipped(policy)
    for line, example in zip(policy.splitlines(), uncommented(policy).splitlines(), strict=True):
        match = _PART.match(example)
        part = match[1] if match else part if example.startswith(" ") else ""
        if part:
            found.setdefault(part, []).append(line if part in in_force else example)
    return {name: "\n".join(lines) for name, lines in found.items()}


def reference(policy: str) -> str:
    """A section a part: what it means, an example, and a table of its fields."""
    shown, in_force = examples(policy), shipped(policy)
    as_it_is, with_examples = parse(Policy, "policy.yaml", policy), parse(Policy, "policy.yaml", uncommented(policy))
    sections = []
    for name, field in Policy.model_fields.items():
        is_default = getattr(as_it_is, name) == getattr(with_examples, name)
        what = "As shipped" if name in in_force else f"Not set as shipped; {'what holds then' if is_default else 'an example'}"
        sections.append(_section(name, field, f"{what}:\n\n```yaml\n{shown[name]}\n```\n"))
    return "\n".join(sections)


def _section(name: str, field: FieldInfo, example: str) -> str:
    head = f"### {name}\n\n{_paragraph(field)}\n\n{example}"
    inner = model_of(field.annotation)
    if inner is None:
        return head
    rows = [f"| `{path}` | {_default(one)} | {_said(one)} |\n" for path, one in _fields(inner)]
    return "".join([head, "\n| field | default | |\n|---|---|---|\n", *rows])


def _fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Fields of a part; a model that has no section of its own is opened."""
    for name, field in model.model_fields.items():
        yield f"{before}{name}", field
        inner = model_of(field.annotation)
        if inner and inner not in _WITH_SECTION:
            yield from _fields(inner, f"{before}{name}.")


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model inside a type such as ``tuple[Override, ...]`` or ``Mapping[str, CategoryRule]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := model_of(one))), None)


_WITH_SECTION = {model_of(field.annotation) for field in Policy.model_fields.values()}


def _said(field: FieldInfo) -> str:
    return (field.description or "").replace("``", "`").replace("|", "\\|")


def _paragraph(field: FieldInfo) -> str:
    return f"{_said(field)} {_needed(field)}".strip()


def _needed(field: FieldInfo) -> str:
    if field.is_required():
        return "Required."
    default = field.get_default(call_default_factory=True)
    return "" if isinstance(default, BaseModel) else f"Default: {_shown(default)}."


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"
