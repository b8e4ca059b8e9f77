"""Figures out of rollups are those that counting everything gives, for every reader, whatever closed, settled or was deleted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from airflow_oncall.store import retention, rollups
from airflow_oncall.store.browse import Sight
from airflow_oncall.store.engine import engine_for, transaction
from airflow_oncall.store.figures import Counted, Scope
from airflow_oncall.store.records import now
from airflow_oncall.store.retention import forget
from airflow_oncall.store.sql import Store
from airflow_oncall.store.tables import (
    actions,
    cursors,
    decisions,
    incidents,
    occurrences,
    outcomes,
    rollup_dags,
    rollup_incidents,
    rollup_told,
    rollup_tried,
)

DAGS = [f"dag_{number}" for number in range(6)]
EVERYTHING = Sight(frozenset(DAGS), import_errors=True, logs=True)
READERS = {
    "admin": EVERYTHING,
    "all but one": Sight(frozenset(DAGS[1:])),
    "one": Sight(frozenset(DAGS[:1])),
    "logs only": Sight(frozenset(), logs=True),
    "nobody": Sight(frozenset()),
}
DAYS = 20


@pytest.fixture
def history(store: Store) -> Store:
    """Three weeks of incidents of every kind, a tenth of them open."""
    return _three_weeks(store)


def _three_weeks(store: Store) -> Store:
    dice = random.Random(6)
    with transaction(store.engine) as connection:
        for number in range(1, 241):
            _add(connection, number, dice)
    return store


def _add(connection: Any, number: int, dice: random.Random) -> None:
    opened = now() - timedelta(minutes=dice.randrange(1, DAYS * 24 * 60))
    closed = None if dice.random() < 0.1 else min(opened + timedelta(minutes=dice.randrange(1, 3000)), now())
    kind, run_id = dice.choice(
        [("task", "r"), ("task", "r"), ("task", "r"), ("dag_run", "r"), ("log", "r"), ("log", ""), ("dag_import", "")]
    )
    state = dice.choice(["resolved", "self_healed", "closed"]) if closed else "escalated"
    ref = {"dag_id": dice.choice(DAGS), "run_id": run_id, "task_id": "load", "map_index": -1}
    row = {"id": number, "key": str(number), "kind": kind, "state": state, "fingerprint": "f", "try_number": 1, "closed_at": closed}
    category, severity = dice.choice(["rate_limit", "code_error", None]), dice.choice(["", "high"])
    times = {"opened_at": opened, "updated_at": closed or opened}
    connection.execute(insert(incidents).values(row | ref | times | {"category": category, "severity": severity}))
    seen = {"seen_by": "listener", "seen_at": opened, "happened_at": opened, "will_retry": False, "by_hand": False, "max_tries": 2}
    said = {"fingerprint": "f", "exception_chain": [], "message": "", "traceback": "", "log_tail": ""}
    connection.execute(insert(occurrences).values(seen | said | {"incident_id": number, "key": str(number), "try_number": 1}))
    for decided in range(1, dice.randrange(1, 4)):
        at = opened + timedelta(minutes=decided)
        basis = {"answers_try": 1, "wait_seconds": 0, "mode": "auto", "reasons": [], "made_at": at, "probability": dice.random()}
        verdict = dice.choice(["auto", "escalate"])
        connection.execute(insert(decisions).values(basis | {"incident_id": number, "number": decided, "verdict": verdict}))
        if verdict == "auto":
            done = {
                "answers_try": 1,
                "attempts": 1,
                "state": "done",
                "planned_at": at,
                "done_at": at,
                "kind": dice.choice(["clear_task", "x"]),
            }
            action = {"id": number * 10 + decided, "incident_id": number, "decision_number": decided}
            connection.execute(insert(actions).values(done | ref | action))
            ended = {"kind": dice.choice(["success", "failed_same", "expired"]), "try_number": 2, "seen_at": at, "detail": ""}
            connection.execute(insert(outcomes).values(ended | {"incident_id": number, "action_id": action["id"]}))


@pytest.fixture(params=list(READERS.values()), ids=list(READERS))
def sight(request: pytest.FixtureRequest) -> Sight:
    reader: Sight = request.param
    return reader


def counted(store: Store, sight: Sight = EVERYTHING, days: int = 10, dag_id: str | None = None) -> dict[str, Any]:
    """The figures, in a shape in which equal ones are equal."""
    found: Counted = store.figures.counted(Scope(sight, now() - timedelta(days=days), dag_id))
    lines = {name: sorted(map(_rounded, getattr(found, name))) for name in ("opened", "closed", "told", "tried")}
    return lines | {"open": found.open, "per_day": found.opened_per_day}


def _rounded(line: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(round(one, 3) if isinstance(one, float) else one for one in line)


@contextmanager
def nothing_counted_in(store: Store) -> Iterator[None]:
    """As if triage had never counted anything in."""
    with transaction(store.engine) as connection:
        mark = connection.execute(select(cursors.c.value).where(cursors.c.name == rollups.MARK)).scalar_one()
    kept = {table: _emptied(store, table) for table in (rollup_incidents, rollup_told, rollup_tried, rollup_dags)}
    store.cursors.set(rollups.MARK, rollups.BEGINNING.isoformat())
    yield
    store.cursors.set(rollups.MARK, mark)
    with transaction(store.engine) as connection:
        for table, rows in kept.items():
            if rows:
                connection.execute(insert(table), rows)


def _emptied(store: Store, table: Any) -> list[dict[str, Any]]:
    with transaction(store.engine) as connection:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
        connection.execute(table.delete())
    return rows


def by_themselves(store: Store, sight: Sight = EVERYTHING, days: int = 10) -> dict[str, Any]:
    """The figures with every incident counted by itself."""
    with nothing_counted_in(store):
        return counted(store, sight, days)


def test_what_is_counted_in_adds_up_to_the_same_figures(history: Store, sight: Sight) -> None:
    before = counted(history, sight)
    assert history.rollups.catch_up() > 100
    assert counted(history, sight) == before
    assert counted(history, sight, days=2) == by_themselves(history, sight, days=2)


def test_an_administrator_sees_something_of_everything(history: Store) -> None:
    history.rollups.catch_up()
    figures = counted(history)
    assert all(figures.values())
    assert sum(line[-1] for line in counted(history, days=DAYS + 2)["opened"]) == 240


def test_figures_of_one_dag_are_its_own(history: Store) -> None:
    before = [counted(history, dag_id=dag_id) for dag_id in DAGS]
    history.rollups.catch_up()
    assert [counted(history, dag_id=dag_id) for dag_id in DAGS] == before
    assert sum(one["open"] for one in before) == counted(history)["open"]


def test_incidents_are_counted_in_once_in_however_many_steps(history: Store, sight: Sight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "AT_ONCE", 7)
    monkeypatch.setattr(rollups, "MOST_BATCHES", 2)
    before = counted(history, sight)
    rounds = 0
    while history.rollups.catch_up():
        rounds += 1
        assert counted(history, sight) == before
    assert rounds > 10


def test_what_closed_a_moment_ago_is_not_counted_in_yet(history: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    history.rollups.catch_up()
    with transaction(history.engine) as connection:
        fresh = {"state": "resolved", "closed_at": now()}
        closing = connection.execute(update(incidents).where(incidents.c.closed_at.is_(None)).values(fresh)).rowcount
    assert closing > 5
    assert counted(history)["open"] == 0
    before = counted(history)
    assert history.rollups.catch_up() == 0
    later = now() + rollups.MARGIN + timedelta(minutes=1)
    monkeypatch.setattr(rollups, "now", lambda: later)
    assert history.rollups.catch_up() >= closing
    assert counted(history) == before


def test_what_closes_after_a_clock_was_ahead_is_counted_in_and_taken_out(history: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = select(incidents.c.id).where(incidents.c.closed_at.is_not(None)).order_by(incidents.c.closed_at.desc()).limit(1)
    years_ahead = now() + timedelta(days=3650)
    with transaction(history.engine) as connection:
        wrong = connection.execute(newest).scalar_one()
        connection.execute(update(incidents).where(incidents.c.id == wrong).values(closed_at=years_ahead))
    with monkeypatch.context() as ahead:
        ahead.setattr(rollups, "now", lambda: years_ahead + timedelta(days=1))
        history.rollups.catch_up()
    an_hour_and_a_half_ago = now() - timedelta(minutes=90)
    with transaction(history.engine) as connection:
        closing = update(incidents).where(incidents.c.closed_at.is_(None))
        connection.execute(closing.values(state="resolved", closed_at=an_hour_and_a_half_ago))
    before = by_themselves(history)
    assert history.rollups.catch_up() > 200
    assert counted(history) == before
    assert forget(history.engine, now(), None).incidents == 239
    with transaction(history.engine) as connection:
        assert set(connection.execute(select(rollup_incidents.c.number)).scalars()) == {0}


def test_incidents_that_closed_in_one_moment_are_counted_in_together(history: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago: datetime = now() - timedelta(days=3)
    with transaction(history.engine) as connection:
        connection.execute(update(incidents).where(incidents.c.closed_at.is_not(None)).values(closed_at=long_ago))
    before = counted(history)
    monkeypatch.setattr(rollups, "AT_ONCE", 5)
    history.rollups.catch_up()
    assert history.rollups.catch_up() == 0
    assert counted(history) == before


def test_deleted_incidents_are_taken_out(history: Store, sight: Sight) -> None:
    history.rollups.catch_up()
    assert forget(history.engine, now() - timedelta(days=8), None).incidents > 20
    assert counted(history, sight, days=DAYS + 2) == by_themselves(history, sight, days=DAYS + 2)


def test_the_data_of_a_dag_can_be_deleted_and_is_counted_no_more(history: Store, sight: Sight) -> None:
    history.rollups.catch_up()
    history.dag_data.delete(DAGS[0], "ada")
    assert counted(history, sight, days=DAYS + 2) == by_themselves(history, sight, days=DAYS + 2)


def test_nothing_is_left_of_what_a_reader_may_not_see(store: Store) -> None:
    dice = random.Random(3)
    with transaction(store.engine) as connection:
        for number in range(1, 41):
            _add(connection, number, dice)
        connection.execute(update(incidents).values(kind="task", run_id="r", dag_id=DAGS[0], category="seen"))
        connection.execute(
            update(incidents).where(incidents.c.id <= 15).values(dag_id=DAGS[1], category="unseen", opened_at=now() - timedelta(days=5.3))
        )
    store.rollups.catch_up()
    figures = counted(store, Sight(frozenset(DAGS[:1])), days=DAYS + 2)
    assert {line[1] for line in figures["opened"]} == {"seen"}
    assert all(line[-1] for line in figures["opened"])


@pytest.mark.postgres
def test_two_workers_at_once_count_in_and_delete_everything_once(postgres_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _three_weeks(postgres_store)
    monkeypatch.setattr(rollups, "AT_ONCE", 7)
    monkeypatch.setattr(retention, "BATCH", 5)
    old = now() - timedelta(days=8)
    workers = [Store.over(engine_for(postgres_store.engine.url, 30.0 + number), f"triage-{number}") for number in range(2)]
    start = Barrier(4)

    def count_in(store: Store) -> int:
        start.wait(10)
        return sum(iter(store.rollups.catch_up, 0))

    def purge(store: Store) -> int:
        start.wait(10)
        return sum(iter(lambda: forget(store.engine, old, None).incidents, 0))

    with transaction(postgres_store.engine) as connection:
        closed_early = (incidents.c.closed_at < old, incidents.c.opened_at < old)
        expected = connection.execute(select(func.count()).select_from(incidents).where(*closed_early)).scalar_one()
    with ThreadPoolExecutor(4) as pool:
        counts, purged = [pool.submit(count_in, one) for one in workers], [pool.submit(purge, one) for one in workers]
    assert sum(one.result() for one in purged) == expected > 50
    assert all(one.result() >= 0 for one in counts)
    for sight in READERS.values():
        assert counted(postgres_store, sight, days=DAYS + 2) == by_themselves(postgres_store, sight, days=DAYS + 2)
    for one in workers:
        one.engine.dispose()
