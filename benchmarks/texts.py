"""Failure texts to measure on: the shipped corpus, varied until there are as many as are asked for."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import cycle, islice

from airflow_oncall import conf
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.dataset import Example

SEED = 7


def corpus() -> list[Example]:
    """The shipped corpus, in an order of no meaning."""
    examples = read_corpus([conf.shipped_include()])
    random.Random(SEED).shuffle(examples)
    return examples


def varied(examples: list[Example], count: int) -> list[Example]:
    """``count`` examples in which every round through the corpus has other digits: no cache may help either side."""
    dice = random.Random(SEED)
    return [replace(one, text=re.sub(r"\d", lambda _: str(dice.randint(1, 9)), one.text)) for one in islice(cycle(examples), count)]
