"""A table file as ``learn/table_export.py`` writes it, made by hand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any


def numbers(values: Sequence[int], step: float = 1.0) -> dict[str, Any]:
    """Whole multiples of ``step``."""
    return {"step": step, "int16": base64.b64encode(struct.pack(f"<{len(values)}h", *values)).decode()}


def table(
    tokens: Sequence[str],
    weights: Mapping[str, Mapping[str, int]],
    *,
    intercepts: Mapping[str, float] | None = None,
    helps: Mapping[str, float] | None = None,
    idf: Sequence[int] = (),
) -> dict[str, Any]:
    """``weights``: category -> token -> weight. ``helps``: category -> log odds that a re-run helps."""
    return {
        "format": 1,
        "version": "triage 0.1.0",
        "vocabulary": {"tokens": list(tokens), "idf": numbers(idf or [1] * len(tokens))},
        "category": {
            "classes": list(weights),
            "weights": [numbers([column.get(token, 0) for token in tokens]) for column in weights.values()],
            "intercepts": [(intercepts or {}).get(name, 0.0) for name in weights],
        },
        "transient": {"weights": numbers([0] * len(tokens)), "offsets": dict(helps or {}), "intercept": 0.0},
    }


def table_text(tokens: Sequence[str], weights: Mapping[str, Mapping[str, int]], **more: Any) -> str:
    """The same as the content of ``table.json``."""
    return json.dumps(table(tokens, weights, **more))
