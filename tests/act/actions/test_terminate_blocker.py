"""``terminate_blocker`` on a real PostgreSQL: exactly one session ends, and only while it is the one that was planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import URL
from tests.act.actions.bench import decided, plan, step
from tests.databases import Databases
from tests.tick.scene import ORDERS, Scene

from airflow_oncall.act.actions import terminate_blocker
from airflow_oncall.act.actions.base import Impossible, Plan, TargetError
from airflow_oncall.act.actions.terminate_blocker import end_session
from airflow_oncall.incident import ActionState

pytestmark = pytest.mark.postgres
Session = Callable[..., psycopg.Connection]


def as_connection(url: URL) -> str:
    """For an environment variable ``AIRFLOW_CONN_...``."""
    socket = str(url.query.get("host", url.host)).replace("/", "%2F")
    return f"postgres://{url.username}:{url.password or ''}@{socket}/{url.database}"


@pytest.fixture
def session(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Sessions on the database of connection ``shop``, which has a table ``stock``."""
    url = databases.create("postgresql").set(drivername="postgresql")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", as_connection(url))
    with ExitStack() as stack:

        def connect(name: str, *, user: str = "") -> psycopg.Connection:
            where = url.set(username=user) if user else url
            dsn = where.render_as_string(hide_password=False)
            return stack.enter_context(psycopg.connect(dsn, application_name=name, autocommit=False))

        with connect("setup") as connection:
            connection.execute("CREATE TABLE stock (id int); INSERT INTO stock VALUES (1)")
        yield connect


def locks(connection: psycopg.Connection) -> psycopg.Connection:
    """It changed a row and has not said so yet."""
    connection.execute("UPDATE stock SET id = id")
    return connection


def is_alive(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def blocked(scene: Scene, session: Session) -> tuple[Scene, psycopg.Connection]:
    """A forgotten session holds a lock, and the orders failed after it began."""
    forgotten = locks(session("forgotten"))
    session("reader").execute("SELECT * FROM stock")
    scene.airflow.fail(ORDERS)
    return scene, forgotten


def test_the_session_that_holds_the_lock_ends_and_the_task_runs_again(blocked: tuple[Scene, psycopg.Connection]) -> None:
    scene, forgotten = blocked
    decided(scene, "terminate_blocker", conn_id="shop")
    states = [step(scene).state]
    while states[-1] is ActionState.PLANNED:
        states.append(step(scene).state)
    assert states[-1] is ActionState.DONE
    assert not is_alive(forgotten)
    assert scene.airflow.clears == [(ORDERS,)]


def test_a_person_decides_unless_the_rule_says_otherwise(blocked: tuple[Scene, psycopg.Connection]) -> None:
    scene, forgotten = blocked
    planned = plan(scene, "terminate_blocker", conn_id="shop")
    assert isinstance(planned, Plan)
    assert planned.ask == "It ends the session of somebody else"
    assert planned.parameters["pid"] == forgotten.info.backend_pid
    told = terminate_blocker.TerminateBlocker().describe(planned.parameters)
    assert f"session {forgotten.info.backend_pid} of " in told
    assert "(forgotten, idle in transaction), which began at" in told


def test_a_rule_may_say_that_nobody_is_asked(blocked: tuple[Scene, psycopg.Connection]) -> None:
    planned = plan(blocked[0], "terminate_blocker", conn_id="shop", ask=False)
    assert isinstance(planned, Plan)
    assert planned.ask == ""


def test_another_session_that_got_the_same_process_id_is_left_alone(blocked: tuple[Scene, psycopg.Connection]) -> None:
    scene, forgotten = blocked
    action = decided(scene, "terminate_blocker", conn_id="shop")
    assert not end_session({**action.parameters, "backend_start": "2026-01-01T00:00:00+00:00"})
    assert is_alive(forgotten)


def test_a_session_that_ended_by_itself_needs_nobody_to_end_it(blocked: tuple[Scene, psycopg.Connection], session: Session) -> None:
    scene, forgotten = blocked
    decided(scene, "terminate_blocker", conn_id="shop")
    forgotten.rollback()
    forgotten.close()
    bystander = locks(session("bystander"))
    states = [step(scene).state for _ in range(2)]
    assert states[-1] is ActionState.DONE
    assert is_alive(bystander)


def test_two_that_could_be_the_blocker_are_for_a_person(scene: Scene, session: Session) -> None:
    session("setup").execute("CREATE TABLE prices (id int)")
    locks(session("one"))
    scene.airflow.fail(ORDERS)
    assert plan(scene, "terminate_blocker", conn_id="shop") == Impossible(
        "2 sessions hold locks since before the failure; it has to be one"
    )


def test_a_session_that_began_after_the_failure_is_no_blocker_of_it(scene: Scene, session: Session) -> None:
    scene.airflow.fail(ORDERS)
    scene.airflow.clock_ahead = -scene.airflow.clock_ahead
    planned = plan(scene, "terminate_blocker", conn_id="shop")
    locks(session("later"))
    assert planned == Impossible("0 sessions hold locks since before the failure; it has to be one")


def test_a_user_who_may_not_end_sessions_is_told_which_role_is_missing(
    blocked: tuple[Scene, psycopg.Connection], session: Session, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, forgotten = blocked
    action = decided(scene, "terminate_blocker", conn_id="shop")
    databases.tell_server("DROP ROLE IF EXISTS clerk", "CREATE ROLE clerk LOGIN", "GRANT pg_read_all_stats TO clerk")
    url = forgotten.info
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"postgres://clerk@{url.host.replace('/', '%2F')}/{url.dbname}")
    with pytest.raises(TargetError, match="needs the roles pg_signal_backend") as caught:
        end_session(action.parameters)
    assert not caught.value.transient
    assert is_alive(forgotten)


def test_a_database_that_is_down_is_waited_for(blocked: tuple[Scene, psycopg.Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    scene, _ = blocked
    decided(scene, "terminate_blocker", conn_id="shop")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://nobody@127.0.0.1:9/shop")
    assert step(scene).state is ActionState.PLANNED
    assert "is the database up?" in scene.incident.detail
    assert scene.airflow.clears == []
