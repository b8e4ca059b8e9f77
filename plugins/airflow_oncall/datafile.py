"""YAML files that people edit: read, validate, and when wrong say which file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from airflow_oncall.errors import BadDataFile

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], name: str, text: str) -> Model:
    """Read YAML text into a pydantic model; ``name`` is the file as people know it. Raises ``BadDataFile``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise BadDataFile(name, f"not YAML: {problem}", line=mark.line + 1 if mark else None) from error
    try:
        return model.model_validate(data if data is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        problem = f"{first['msg']}; it has value {first['input']!r:.80}"
        raise BadDataFile(name, problem, line=line_of(root, place), field=".".join(map(str, place)) or None) from error


def line_of(root: yaml.Node | None, place: Sequence[str | int]) -> int | None:
    """Line (from 1) of the deepest node on the way to ``place``."""
    node, line = root, None
    for step in place:
        if node is None:
            break
        line = node.start_mark.line + 1
        node, at = _child(node, step)
        line = at or line
    return line


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node | None, int | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None, None
