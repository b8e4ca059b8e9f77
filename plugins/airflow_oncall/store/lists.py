"""Many values as one parameter: there may be more of them than a statement may have parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import JSON, Engine, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine


def listed(engine: Engine, values: Iterable[Any], kind: TypeEngine[Any]) -> Any:
    """A query for these values, to stand behind ``in_``; ``kind`` is the type of one of them."""
    given = sorted(values)
    if engine.dialect.name == "postgresql":
        return select(func.unnest(bindparam("listed", given, ARRAY(kind), unique=True)))
    each = func.json_each(bindparam("listed", given, JSON, unique=True)).table_valued("value")
    return select(each.c.value)
