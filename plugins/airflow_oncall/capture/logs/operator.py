"""``PollLogsOperator``: one poll of one log source as a task, for ``oncall_poll`` and for people's own DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from airflow_oncall.capture.logs.configured import Configured, Wrong, usable_sources
from airflow_oncall.errors import OnCallError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_oncall.capture.logs.polling import PollResult
    from airflow_oncall.capture.logs.source import LogSource
    from airflow_oncall.store.logs import SqlLogs


class PollLogsOperator(BaseOperator):
    """Read a source from where the last poll stopped, and turn what it tells into incidents.

    :param source: name of an entry of ``sources.yaml``
    :param every: with it, the task polls again and again, and waits in the triggerer in between, so that it takes no worker slot
    :param lasting: how long a task with ``every`` goes on

    What the poll did is its XCom. A source that cannot be read is an incident and no failure of the task; one that cannot be built, or
    fails in a way that nobody thought of, is both.
    """

    template_fields: Sequence[str] = ("source",)
    ui_color = "#f6f0e0"

    def __init__(self, *, source: str, every: timedelta | None = None, lasting: timedelta = timedelta(hours=1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source, self.every, self.lasting = source, every, lasting

    def execute(self, context: Context) -> dict[str, Any]:
        """Poll once; with ``every``, the first time."""
        return self._poll(datetime.now(timezone.utc) + self.lasting)

    def resume(self, context: Context, event: Any, until: str) -> dict[str, Any]:
        """The wait is over: poll again."""
        return self._poll(datetime.fromisoformat(until))

    def _poll(self, until: datetime) -> dict[str, Any]:
        configured = self._configured()
        if isinstance(configured, Wrong):
            return asdict(report_wrong(configured))
        hung = f"source {self.source!r} hung for more than {configured.timeout:.0f} s; raise its timeout, or look what holds it up"
        try:
            with timeout(configured.timeout, hung):
                result = poll_source(configured)
        except AirflowTaskTimeout:
            report_hung(configured, hung)
            raise
        self.log.info("%s", result)
        if self.every is not None and datetime.now(timezone.utc) + self.every < until:
            self._wait(self.every, until)
        return asdict(result)

    def _configured(self) -> Configured | Wrong:
        sources, wrong = usable_sources()
        return next((one for one in wrong if one.name == self.source), None) or sources.named(self.source)

    def _wait(self, every: timedelta, until: datetime) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(trigger=TimeDeltaTrigger(every), method_name="resume", kwargs={"until": until.isoformat()})


def poll_source(configured: Configured) -> PollResult:
    """One poll on this deployment's store and Airflow; none while another process polls this source."""
    from airflow_oncall.capture.logs.polling import PollResult, poll, task_instances_around
    from airflow_oncall.rest import open_api
    from airflow_oncall.store import open_store, worker_name

    store, turn, me = open_store(), f"poll:{configured.name}", worker_name()
    if not store.leases.take(turn, me, timedelta(seconds=configured.timeout + 30)):
        return PollResult(configured.name, problems=["it is being polled by another process"], is_done=False)
    try:
        return poll(_built(configured, store.logs), store.logs, task_instances_around(open_api()), configured.seconds)
    finally:
        store.leases.release(turn, me)


def _built(configured: Configured, logs: SqlLogs) -> LogSource:
    """The source. What keeps it from being built, e.g. a library that is missing, is an incident, once."""
    from airflow_oncall.capture.logs.polling import report_unreadable

    try:
        return configured.source()
    except OnCallError as error:
        report_unreadable(configured.name, logs, str(error))
        raise


def report_wrong(wrong: Wrong) -> PollResult:
    """An entry that is wrong is an incident, once, as a source that cannot be read."""
    from airflow_oncall.capture.logs.polling import PollResult, report_unreadable
    from airflow_oncall.store import open_store

    opened = report_unreadable(wrong.name, open_store().logs, f"{wrong.problem}; correct it, `airflow oncall doctor` checks the file")
    return PollResult(wrong.name, incidents=opened, problems=[wrong.problem], is_done=False)


def report_hung(configured: Configured, problem: str) -> None:
    """A source that hangs is an incident, once, as one that fails."""
    from airflow_oncall.capture.logs.polling import report_unreadable
    from airflow_oncall.store import open_store

    report_unreadable(configured.name, open_store().logs, problem)
