"""The world outside Airflow, with its faults: an HTTP API, a PostgreSQL, a file inbox and a machine short of memory.

Nothing here goes by the clock: the database comes up, the file is delivered and memory is freed because a task was seen
to fail, and for no other reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil

from demo.faults import FaultyServer, hang, reset, serve, stream, unavailable
from demo.warehouse import Warehouse

LEDGER_MB = 400
MEMORY_LIMIT_MB = 450
"""Of one task process; Airflow itself takes about 200."""

SALES = "shop,amount\n1,10.00\n2,12.50\n"


class World:
    """``env`` tells Airflow where everything is; ``react`` lets the world answer to failures."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox"
        self.warehouse = Warehouse(folder / "postgres")
        self._ledger_is_held = threading.Event()
        self.api = FaultyServer(
            {
                "/orders": [unavailable, unavailable, serve([{"id": number} for number in range(3)])],
                **{f"/prices/{shop}": [serve([9.5, 12.0])] for shop in range(5)},
                "/prices/3": [reset, serve([9.5, 12.0])],
                "/report": [hang, serve(["north", "south"])],
                "/customers": [serve([{"id": 1, "name": "Ada"}])],
                "/payments": [unavailable, serve([{"id": 1}])],
                "/refunds": [unavailable],
                "/ledger": [stream(LEDGER_MB, then=self._hold), stream(LEDGER_MB)],
            }
        )
        self._reactions: dict[str, Callable[[], object]] = {
            "demo_database_down": self.warehouse.start,
            "demo_late_file": self.deliver_file,
        }

    @property
    def env(self) -> dict[str, str]:
        """Airflow connections and variables that lead here."""
        return {
            "AIRFLOW_CONN_DEMO_API": f"http://127.0.0.1:{self.api.port}",
            "AIRFLOW_CONN_DEMO_WAREHOUSE": self.warehouse.connection(),
            "AIRFLOW_CONN_DEMO_WAREHOUSE_OUTDATED": self.warehouse.connection(password="last-years"),
            "AIRFLOW_VAR_DEMO_INBOX": str(self.inbox),
        }

    def start(self, scheduler_pid: int, adopt: Callable[[int], object]) -> None:
        """Bring the world up, faults included.

        Task processes are descendants of the scheduler; ``adopt`` is told of every process that has to end with the demo.
        """
        self.warehouse.on_start = adopt
        self.inbox.mkdir(parents=True)
        self.warehouse.prepare()
        self.api.start()
        threading.Thread(target=self._watch_memory, args=(scheduler_pid,), daemon=True, name="demo-memory").start()

    def stop(self) -> None:
        """End what was started."""
        self.api.stop()
        self.warehouse.stop()

    def react(self, failed_dags: Collection[str]) -> None:
        """Mend what made these DAGs fail, once each."""
        for dag_id in [dag_id for dag_id in self._reactions if dag_id in failed_dags]:
            self._reactions.pop(dag_id)()

    def deliver_file(self) -> None:
        """The file of sales arrives, complete at once."""
        part = self.inbox / "sales.csv.part"
        part.write_text(SALES)
        part.rename(self.inbox / "sales.csv")

    def _hold(self, call: BaseHTTPRequestHandler) -> None:
        self._ledger_is_held.set()
        hang(call)

    def _watch_memory(self, scheduler_pid: int) -> None:
        """Kill the one process that takes too much, as the kernel does on a full machine; then the machine has room."""
        self._ledger_is_held.wait()
        while not any(map(_kill_if_too_big, psutil.Process(scheduler_pid).children(recursive=True))):
            threading.Event().wait(0.1)


def _kill_if_too_big(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        if process.memory_info().rss > MEMORY_LIMIT_MB * 1024 * 1024:
            process.kill()
            return True
    return False
