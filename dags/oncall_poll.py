"""Polling: every minute, one mapped task for each source of `sources.yaml`. Without sources it is not scheduled."""

from __future__ import annotations

import logging
from datetime import timedelta

from airflow.sdk import DAG

from airflow_oncall.capture.logs.configured import usable_sources
from airflow_oncall.capture.logs.operator import PollLogsOperator

configured, wrong = usable_sources()
sources = configured.sources
pools = {source.name: source.pool for source in sources} | {one.name: "default_pool" for one in wrong}  # its task reports what is wrong
for one in wrong:
    logging.getLogger(__name__).warning("%s; the other sources are polled", one.problem)

with DAG(
    "oncall_poll",
    description="Reads the logs of engines: what they tell becomes evidence of failed task instances, or incidents.",
    schedule="* * * * *" if pools else None,
    catchup=False,
    max_active_runs=4,  # a source that takes long must not hold the others up; each is polled by one process at a time
    is_paused_upon_creation=False,
    tags=["oncall"],
    doc_md=__doc__,
):
    for pool in sorted(set(pools.values())):
        # A pool belongs to a task, not to its map indexes.
        PollLogsOperator.partial(
            task_id="poll" if pool == "default_pool" else f"poll_{pool}",
            pool=pool,
            retries=0,
            execution_timeout=timedelta(seconds=max((source.timeout for source in sources), default=0) + 60),
            map_index_template="{{ task.source }}",
        ).expand(source=[name for name, its_pool in pools.items() if its_pool == pool])
