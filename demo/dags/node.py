"""Jobs that need what the machine gives: a file in the inbox, and memory."""

from __future__ import annotations

from airflow.sdk import Connection, Variable, dag, task


@dag(tags=["demo"])
def demo_late_file() -> None:
    """The input file is delivered after the task looked for it."""

    @task
    def read_sales() -> int:
        import csv

        with open(f"{Variable.get('demo_inbox')}/sales.csv", newline="") as file:
            return len(list(csv.DictReader(file)))

    read_sales()


@dag(tags=["demo"])
def demo_out_of_memory() -> None:
    """Holds a whole ledger in memory; what watches the machine's memory kills it."""

    @task
    def sum_ledger() -> int:
        import requests

        api = Connection.get("demo_api")
        with requests.get(f"http://{api.host}:{api.port}/ledger", stream=True, timeout=60) as answer:
            answer.raise_for_status()
            ledger = [bytearray(chunk) for chunk in answer.iter_content(1 << 20)]
        return sum(len(part) for part in ledger)

    sum_ledger()


demo_late_file()
demo_out_of_memory()
