"""Clients of a web API that has a bad day: overloaded, resetting connections, slow, and once misread by its client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Connection, dag, task


def fetch(path: str) -> Any:
    """What the API answers; a connection is made for every call, as most scheduled jobs do."""
    import requests

    api = Connection.get("demo_api")
    answer = requests.get(f"http://{api.host}:{api.port}{path}", timeout=60)
    answer.raise_for_status()
    return answer.json()


@dag(tags=["demo"])
def demo_overloaded_api() -> None:
    """The API is overloaded and answers 503 twice: Airflow's own retry is used up, then a clear helps."""

    @task(retries=1, retry_delay=timedelta(seconds=2))
    def load_orders() -> int:
        return len(fetch("/orders"))

    load_orders()


@dag(tags=["demo"])
def demo_reset_connection() -> None:
    """One of five mapped task instances has its connection reset."""

    @task
    def list_shops() -> list[int]:
        return list(range(5))

    @task
    def load_prices(shop: int) -> float:
        return sum(float(price) for price in fetch(f"/prices/{shop}"))

    @task
    def publish(totals: Any) -> int:
        return len(list(totals))

    publish(load_prices.expand(shop=list_shops()))


@dag(tags=["demo"])
def demo_slow_api() -> None:
    """The API hangs, and the execution timeout ends the try."""

    @task(execution_timeout=timedelta(seconds=4))
    def load_report() -> int:
        return len(fetch("/report"))

    load_report()


@dag(tags=["demo"])
def demo_misread_answer() -> None:
    """A bug: the API never had the field that the code reads."""

    @task
    def load_customers() -> list[str]:
        return [customer["full_name"] for customer in fetch("/customers")]

    load_customers()


@dag(tags=["demo", "oncall:ask"])
def demo_payments() -> None:
    """Declared ``ask`` by tag: a person approves the repair."""

    @task
    def settle_payments() -> int:
        return len(fetch("/payments"))

    settle_payments()


@dag(tags=["demo"])
def demo_refunds() -> None:
    """Declared ``ask`` by the task's params: a person rejects the repair."""

    @task(params={"oncall": "ask"})
    def send_refunds() -> int:
        return len(fetch("/refunds"))

    send_refunds()


demo_overloaded_api()
demo_reset_connection()
demo_slow_api()
demo_misread_answer()
demo_payments()
demo_refunds()
