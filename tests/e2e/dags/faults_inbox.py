"""Jobs that read what is delivered and write what others fetch.

Names say nothing of what goes wrong, because a traceback shows them.
"""

from __future__ import annotations

import csv
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Variable, task

NOBODY = 65534


class ControlTotalsDiffer(Exception):
    """What was delivered is not what its sender counted."""


def inbox() -> Path:
    return Path(Variable.get("outside_inbox"))


def rows(name: str) -> list[dict[str, str]]:
    with (inbox() / name).open(newline="") as file:
        return list(csv.DictReader(file))


def document(name: str) -> Any:
    return json.loads((inbox() / name).read_text())


@contextmanager
def as_service_user() -> Iterator[None]:
    """Root may read everything, so the job gives that up for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def write(name: str) -> None:
    with (inbox() / name).open("a") as file:
        file.writelines(f"{number};{number * 3}\n" for number in range(20_000))


with DAG("f_inbox", schedule=None, default_args={"priority_weight": 0}):

    @task
    def read_partition() -> list[str]:
        return sorted(os.listdir(inbox() / "day"))

    @task
    def add_amounts() -> float:
        return sum(float(row["amount"]) for row in rows("amounts.csv"))

    @task
    def compare_totals() -> None:
        *sales, last = rows("totals.csv")
        if len(sales) != int(last["amount"]):
            raise ControlTotalsDiffer(f"totals.csv has {len(sales)} sales, its last line counts {last['amount']}")

    @task
    def read_keys() -> str:
        with as_service_user():
            return (inbox() / "keys.txt").read_text()

    @task
    def write_backup() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, hard))
        try:
            write("backup.txt")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    for file_name in ("sales", "supplier"):
        task(task_id=f"read_{file_name}")(rows)(f"{file_name}.csv")
    for file_name in ("manifest", "feed"):
        task(task_id=f"read_{file_name}")(document)(f"{file_name}.json")
    for file_name in ("export", "extract"):
        task(task_id=f"write_{file_name}")(write)(f"{file_name}.txt")
    BashOperator(task_id="copy_amounts", bash_command="cp {{ var.value.outside_inbox }}/amounts.csv /dev/full")
    read_partition()
    add_amounts()
    compare_totals()
    read_keys()
    write_backup()
