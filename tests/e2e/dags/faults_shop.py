"""What a shop and its partners offer over HTTP, as jobs fetch it; the test's server decides how each call ends.

Names say nothing of what goes wrong, because a traceback shows them.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Variable, task


class ShopError(Exception):
    """The shop's own client raises it with what the shop says."""


def fetch(path: str, base: str = "outside_shop", timeout: float = 2) -> Any:
    import requests

    answer = requests.get(Variable.get(base) + path, timeout=timeout)
    answer.raise_for_status()
    return answer.json()


def fetch_httpx(path: str) -> Any:
    import httpx

    return httpx.get(Variable.get("outside_shop") + path, timeout=2).raise_for_status().json()


def fetch_urllib(path: str) -> Any:
    from urllib.request import urlopen

    with urlopen(Variable.get("outside_shop") + path, timeout=2) as answer:
        return json.load(answer)


def fetch_shop(path: str) -> Any:
    import requests

    answer = requests.get(Variable.get("outside_shop") + path, timeout=2)
    if not answer.ok:
        raise ShopError(f"{path}: {answer.json()['message']}")
    return answer.json()


def fetch_signed_in(path: str) -> Any:
    import requests

    key = (Path(Variable.get("outside_inbox")) / "partner.key").read_text()
    answer = requests.get(Variable.get("outside_shop") + path, headers={"X-Key": key}, timeout=2)
    answer.raise_for_status()
    return answer.json()


SHARED: dict[str, Any] = {"schedule": None, "default_args": {"priority_weight": 0}}
"""Triage goes first where slots are few."""

with DAG("f_shop", **SHARED):
    for name in ("orders", "prices", "events"):
        task(task_id=f"load_{name}")(fetch)(f"/{name}")
    for name in ("customers", "baskets", "sessions", "clicks"):
        task(task_id=f"load_{name}")(fetch_httpx)(f"/{name}")
    for name in ("returns", "carts"):
        task(task_id=f"load_{name}")(fetch_urllib)(f"/{name}")
    for name in ("reviews", "archive"):
        task(task_id=f"load_{name}")(fetch_shop)(f"/{name}")
    task(task_id="load_report", execution_timeout=timedelta(seconds=3))(fetch)("/report", timeout=60)

with DAG("f_partners", **SHARED):
    for name in ("offers", "images", "accounts", "export"):
        task(task_id=f"pull_{name}")(fetch)(f"/{name}")
    for name in ("news", "contracts"):
        task(task_id=f"pull_{name}")(fetch_httpx)(f"/{name}")
    for name in ("catalogue", "rates", "weather"):
        task(task_id=f"pull_{name}")(fetch)(f"/{name}", base=f"outside_{name}")
    task(task_id="pull_invoices")(fetch_signed_in)("/invoices")
