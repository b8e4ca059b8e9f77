"""The log of one try of a task instance, as Airflow writes it: whose it is, and what in it the task dealt with itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from airflow_oncall.capture.logs.scanner import Block, Hit

_PATH = re.compile(
    r"dag_id=(?P<dag_id>[^/]+)/run_id=(?P<run_id>[^/]+)/task_id=(?P<task_id>[^/]+)/"
    r"(?:map_index=(?P<map_index>\d+)/)?attempt=(?P<try_number>\d+)\.log"
)
"""Where Airflow itself puts the log of a try, unless told otherwise."""
_SUCCEEDED = re.compile(rb"Marking task as SUCCESS|Task finished\b[^\n]{0,400}final_state\W{1,5}success")
_EXECUTED = b"::group::Post Execute"
"""What Airflow 3 writes when the task's own code has ended, well or not."""
_FAILED = re.compile(rb"Task failed with exception|Task exited(?! with return code 0)")
"""What stands in front of it where it did not end well."""


@lru_cache(maxsize=256)
def written_for(path: str) -> Mapping[str, str]:
    """The path, and the ids of the task instance and the try that it names."""
    found = _PATH.search(path)
    return {"path": path} | ({name: value for name, value in found.groupdict().items() if value} if found else {})


def unresolved(block: Block, hits: Iterable[Hit], end: int) -> list[Hit]:
    """Hits in the log of one try without those behind which it ended well: a task that succeeds has dealt with them itself."""
    found = list(hits)
    ended = _ended_well(block, end) if found else 0
    return [hit for hit in found if hit.start >= ended]


def _ended_well(block: Block, end: int) -> int:
    """Where a try's log says so; 0 where it does not."""
    told = max((one.start() for one in _SUCCEEDED.finditer(block, 0, end)), default=0)
    if _FAILED.search(block, 0, end):
        return 0
    return told or max(block.rfind(_EXECUTED, 0, end), 0)
