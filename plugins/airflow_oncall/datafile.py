"""YAML files that people edit: read, validate, and when wrong say which file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from airflow_oncall.errors import BadDataFile

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], name: str, text: str) -> Model:
    """Read YAML text into a pydantic model; ``name`` is the file as people know it. Raises ``BadDataFile``."""
    root, data = _read(name, text)
    try:
        return model.model_validate(data if data is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        named = first.get("ctx", {}).get("place", ())  # what concerns several fields says which one
        place = (*first["loc"], *named)
        quoted = not named and str(next(iter(place), "")) not in getattr(model, "unquoted", ())
        problem = first["msg"].removeprefix("Value error, ") + (f"; it has value {first['input']!r:.80}" if quoted else "")
        raise BadDataFile(name, problem, line=line_of(root, place), field=".".join(map(str, place)) or None) from error


def compose(name: str, text: str) -> yaml.Node | None:
    """The nodes of a YAML text, for :func:`line_of`. Raises ``BadDataFile``."""
    return _read(name, text)[0]


def _read(name: str, text: str) -> tuple[yaml.Node | None, Any]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        twice = next(_twice(root), None) if root else None
        if twice is not None:
            line = twice.start_mark.line + 1
            raise BadDataFile(name, "stands twice; the second would replace the first", line=line, field=str(twice.value))
        return root, yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise BadDataFile(name, f"not YAML: {problem}", line=mark.line + 1 if mark else None) from error
    except (ValueError, RecursionError) as error:  # e.g. a date with a 13th month
        raise BadDataFile(name, f"not YAML that can be used: {error}") from error


def _twice(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Keys that stand twice in one mapping."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += node.value
            continue
        keys = set[str]()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    yield key
                keys.add(key.value)
            waiting.append(value)


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
