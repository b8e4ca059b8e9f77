"""The world outside Airflow that the tasks of ``dags/faults_*.py`` meet, with everything that is wrong in it.

Nothing here goes by the clock: a cause goes away because a try of its task was seen to fail, and for no other reason.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import psycopg
from demo.faults import FaultyServer, hang, reset, serve, unavailable
from lab.engines.postgres_server import TRUST, Cluster

from tests.e2e.answers import cut_short, guarded, hung_up, refused
from tests.e2e.gateway import Gateway

BALANCES = range(1, 9)
SETUP = (
    "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)",
    *(f"INSERT INTO accounts VALUES ({number}, 0)" for number in BALANCES),
    "CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, amount int CHECK (amount >= 0))",
    "INSERT INTO items VALUES (1, 'bolt', 7)",
    "CREATE TABLE costs (amount int)",
    "GRANT ALL ON accounts, items TO PUBLIC",
    "ALTER ROLE etl IN DATABASE books SET deadlock_timeout = '100ms'",
    "CREATE ROLE clerk LOGIN CONNECTION LIMIT 0",
    "CREATE ROLE planner LOGIN PASSWORD 'of-this-year'",
    "CREATE ROLE sorter LOGIN",
    "ALTER ROLE sorter SET temp_file_limit = '1MB'",
    "ALTER ROLE sorter SET work_mem = '64kB'",
    "CREATE ROLE reader LOGIN",
    "ALTER ROLE reader SET default_transaction_read_only = on",
)
SALES = "shop,amount\n1,10.00\n2,12.50\n"
PARTS = '{"parts": ["north", "south"]}'
ROWS = {"book_fees": 4, "book_taxes": 5, "reserve": 7, "settle": 8, "post_entries": 3}
"""Rows that a session of ours has locked when these tasks begin."""
LITTLE = 3 << 30
"""Bytes of address space: enough for Airflow, not for the job."""
GOOD = serve([])


class Outside:
    """``variables`` tell the tasks where everything is; ``react`` lets causes go away."""

    def __init__(self, folder: Path, warehouse: Cluster) -> None:
        self.inbox, self._warehouse = folder, warehouse
        self._key = "of-this-evening"
        self.shop = FaultyServer(
            {
                "/orders": [unavailable, unavailable, GOOD],
                "/prices": [refused(429, {"Retry-After": "1"}), GOOD],
                "/events": [hang, GOOD],
                "/customers": [refused(429), GOOD],
                "/baskets": [refused(504), GOOD],
                "/sessions": [refused(502), GOOD],
                "/clicks": [hang, GOOD],
                "/returns": [refused(429, {"Retry-After": "2"}), GOOD],
                "/carts": [hang, GOOD],
                "/reviews": [refused(429, message="this key may call 60 times a minute and did so 61 times"), GOOD],
                "/archive": [refused(403, message="all calls that the contract has for this month are spent")],
                "/report": [hang, GOOD],
                "/offers": [reset, GOOD],
                "/images": [cut_short, GOOD],
                "/news": [hung_up, GOOD],
                "/accounts": [refused(401)],
                "/contracts": [refused(403)],
                "/export": [refused(404), GOOD],
                "/catalogue": [GOOD],
                "/invoices": [guarded(lambda: self._key)],
            }
        )
        self._catalogue, self._branch, self._office = Gateway(self.shop.port), Gateway(warehouse.port), Gateway(warehouse.port, cuts=1)
        self._locks: dict[str, psycopg.Connection] = {}
        self._meddling: dict[str, Callable[[], object]] = {
            "sum_entries": lambda: self._execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sum_entries'"
            ),
            "post_entries": lambda: threading.Thread(target=self._lock, args=("post_entries", 2), daemon=True).start(),
            "book_interest": lambda: self._execute("UPDATE accounts SET balance = 9 WHERE id = 6"),
        }
        self._victims = {"render_tiles", "train_month"}
        self._cures: dict[str, Callable[[], object]] = {
            "pull_catalogue": self._catalogue.open,
            "open_books": self._branch.open,
            "read_rates": lambda: self._execute("ALTER ROLE clerk CONNECTION LIMIT -1"),
            "read_archive": lambda: self._execute("ALTER DATABASE archive ALLOW_CONNECTIONS true"),
            "read_batches": lambda: self._execute("CREATE TABLE batches (id int)", "GRANT SELECT ON batches TO etl"),
            **{name: partial(self._unlock, name) for name in ROWS},
            "read_sales": lambda: self._deliver("sales.csv", SALES),
            "read_manifest": lambda: self._deliver("manifest.json", PARTS),
            "read_partition": (self.inbox / "day").mkdir,
            "write_export": (self.inbox / "export.txt").unlink,
            "pull_invoices": self._change_key,
            "build_index": lambda: self._deliver("index.bytes", "-1"),
            "build_matrix": lambda: self._deliver("matrix.bytes", "-1"),
            "wait_for_cube": (self.inbox / "cube").touch,
            "run_solver": (self.inbox / "licence").touch,
            "f_night": (self.inbox / "day_ended").touch,
        }

    @property
    def variables(self) -> dict[str, str]:
        """Airflow's, by key."""
        books = "host=127.0.0.1 port="
        shop = f"http://127.0.0.1:{self.shop.port}"
        return {
            "outside_shop": shop,
            "outside_catalogue": f"http://127.0.0.1:{self._catalogue.port}",
            "outside_rates": shop.replace("http", "https"),
            "outside_weather": "http://forecast.partner.invalid",
            "outside_books": f"{books}{self._warehouse.port}",
            "outside_books_url": f"postgresql+psycopg://etl@127.0.0.1:{self._warehouse.port}/books",
            "outside_branch": f"{books}{self._branch.port}",
            "outside_office": f"{books}{self._office.port}",
            "outside_inbox": str(self.inbox),
        }

    def start(self) -> None:
        """Bring it up, with all that is wrong in it."""
        self._prepare_inbox()
        self._prepare_databases()
        self.shop.start()
        self._office.open()
        for name, row in ROWS.items():
            session = self._locks[name] = self._warehouse.session("books")
            session.execute("SET deadlock_timeout = '1h'")  # a deadlock's victim is the task
            session.execute("BEGIN")
            self._lock(name, row)

    def stop(self) -> None:
        """End what was started."""
        self.shop.stop()
        for gateway in (self._catalogue, self._branch, self._office):
            gateway.shut()
        for session in self._locks.values():
            session.close()

    def react(self, failed: Collection[str]) -> None:
        """Meddle with tasks that are under way, and mend what made others fail, once each."""
        for name in self._cures.keys() & failed:
            self._cures.pop(name)()
        for name in self._meddling.keys() & self._at_work():
            self._meddling.pop(name)()
        for file in self.inbox.glob("*.pid"):
            if file.stem in self._victims and (pid := file.read_text()):
                self._victims.remove(file.stem)
                os.kill(int(pid), signal.SIGKILL)

    def _prepare_inbox(self) -> None:
        self.inbox.mkdir()
        self._deliver("manifest.json", PARTS[:-5])
        self._deliver("feed.json", "{'parts': ['north']}")
        self._deliver("amounts.csv", SALES + "3,12 EUR\n")
        self._deliver("totals.csv", SALES + "count,3\n")
        self._deliver("partner.key", "of-this-morning")
        self._deliver("keys.txt", "")
        (self.inbox / "keys.txt").chmod(0)
        for job in ("index", "matrix"):
            self._deliver(f"{job}.bytes", str(LITTLE))
        for name in ("export.txt", "extract.txt"):
            (self.inbox / name).symlink_to("/dev/full")

    def _prepare_databases(self) -> None:
        for name in ("books", "archive"):
            self._warehouse.admin.execute(f"CREATE DATABASE {name}")
        self._execute(*SETUP)
        self._execute("ALTER DATABASE archive ALLOW_CONNECTIONS false")
        self._warehouse.configure({}, hba=f"host books planner all scram-sha-256\n{TRUST}")

    def _at_work(self) -> set[str]:
        """Tasks whose statement is a pause."""
        with self._warehouse.session("books") as session:
            found = session.execute("SELECT application_name FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            return {str(name) for (name,) in found}

    def _execute(self, *statements: str) -> None:
        with self._warehouse.session("books") as session:
            for statement in statements:
                session.execute(statement)

    def _lock(self, name: str, row: int) -> None:
        self._locks[name].execute("SELECT FROM accounts WHERE id = %s FOR UPDATE", [row])

    def _unlock(self, name: str) -> None:
        self._locks[name].execute("ROLLBACK")

    def _deliver(self, name: str, text: str) -> None:
        """Complete at once."""
        part = self.inbox / f"{name}.part"
        part.write_text(text)
        part.rename(self.inbox / name)

    def _change_key(self) -> None:
        self._deliver("partner.key", self._key)
