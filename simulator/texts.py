"""What failing tasks of the simulation log: texts of the corpus' scenarios that its models were not trained on."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from functools import cache

from airflow_oncall import conf
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.dataset import Example

LOGGED = frozenset({"client", "driver", "driver at WARN", "driver in JSON", "task log file", "task log page"})
"""Views that end in a task's log; a server's own log does not."""
EVERY = 4
"""One scenario of so many is held out."""
Kind = tuple[str, bool | None]
"""Category, and whether a re-run can help."""


def is_held_out(scenario: str) -> bool:
    """Whether the simulation may log its texts, and training must not see them."""
    return int(hashlib.sha256(scenario.encode()).hexdigest(), 16) % EVERY == 0


def training_examples() -> list[Example]:
    """All of the corpus but what is held out."""
    return [example for example in read_corpus([conf.shipped_include()]) if not is_held_out(example.group)]


@cache
def held_out() -> dict[Kind, tuple[str, ...]]:
    """Texts by kind."""
    found: dict[Kind, list[str]] = defaultdict(list)
    for path in sorted((conf.shipped_include() / "corpus").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            made = row["provenance"]
            if is_held_out(f"{made['engine']}:{made['scenario']}") and made.get("view") in LOGGED:
                found[row["category"], row["transient"]].append(row["text"])
    return {kind: tuple(texts) for kind, texts in found.items()}


def text_of(kind: Kind, dice: random.Random) -> str:
    """One text of this kind."""
    return dice.choice(held_out()[kind])
