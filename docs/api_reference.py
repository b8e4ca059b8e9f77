"""The reference in docs/api.md, made from the description that the API gives of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MODELS = "#/components/schemas/"
PROBLEM = "ErrorBody"


def reference(described: Mapping[str, Any]) -> str:
    """Every route with its parameters, its body and its answer; then every model that they name."""
    models: Mapping[str, Any] = described["components"]["schemas"]
    routes = [_route(method.upper(), path, route) for path, methods in described["paths"].items() for method, route in methods.items()]
    shown = [name for name in sorted(models) if name not in (PROBLEM, "Problem") and {"properties", "enum"} & set(models[name])]
    return "\n".join([*routes, "## Models\n", *(_model(name, models[name]) for name in shown)])


def _route(method: str, path: str, route: Mapping[str, Any]) -> str:
    parts = [f"### {method} /oncall{path}\n", f"{route['description']}\n"]
    rows = [_row(one["name"], one["schema"], one.get("required", False), one.get("description", "")) for one in route.get("parameters", ())]
    if rows:
        parts.append("\n".join(["| parameter | | |", "|---|---|---|", *rows]) + "\n")
    if "requestBody" in route:
        parts.append(f"Body: {_type(_content(route['requestBody']))}.\n")
    parts.append(f"Answer: {'; '.join(_answers(route['responses']))}.\n")
    return "\n".join(parts)


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        if status.startswith("2"):
            schema = _content(response)
            yield f"{status}, {_type(schema)}" if schema else f"{status}, empty"


def _content(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def _model(name: str, model: Mapping[str, Any]) -> str:
    if "enum" in model:
        return f"### {name}\n\n{model.get('description', '')} One of {_type(model)}.\n"
    required = model.get("required", ())
    rows = [_row(field, schema, field in required, schema.get("description", "")) for field, schema in model["properties"].items()]
    return "\n".join([f"### {name}\n", f"{model.get('description', '')}\n", "| field | | |", "|---|---|---|", *rows]) + "\n"


def _row(name: str, schema: Mapping[str, Any], required: bool, description: str) -> str:
    said = [_type(schema), *(["required"] if required else []), *_default(schema)]
    return f"| `{name}` | {_cell(', '.join(said))} | {_cell(description)} |"


def _default(schema: Mapping[str, Any]) -> list[str]:
    value = schema.get("default")
    return [] if value in (None, "", []) else [f"default {str(value).lower() if isinstance(value, bool) else value}"]


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _named(schema["$ref"].removeprefix(MODELS))
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"] if one)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "anything"))


def _named(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
