from __future__ import annotations

import pytest
from tests.examples import few_examples

from airflow_oncall.learn.dataset import Example


@pytest.fixture(scope="session")
def few() -> list[Example]:
    """Four categories and healthy lines, six scenarios each, three rows a scenario."""
    return few_examples()
