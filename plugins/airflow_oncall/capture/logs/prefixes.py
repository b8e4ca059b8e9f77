"""What stands in front of the words of a log line, as parts of expressions for bytes."""

from __future__ import annotations

LEVEL = rb"(?:TRACE|DEBUG\d?|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE|LOG|PANIC)"
STAMP = (
    rb"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\]]{0,20}\]?|\[\d{4}-[^\]\n]{5,45}\]|\d\d/\d\d/\d\d \d\d:\d\d:\d\d"
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|time=\S+|[IWEF]\d{4} \d\d:\d\d:\d\d\S*)"
)
PREFIX = (
    rb"(?:" + STAMP + rb"(?: std(?:out|err) [FP])?(?: \[[^\]\n]{1,60}\]| \{[^}\n]{1,80}\}| [A-Z]{3,4}(?= )){0,3}"
    rb"(?: \[?" + LEVEL.lower() + rb" *\]| \[?" + LEVEL + rb"\]?)?(?: -)?)"
)
JSON = rb"\{\"timestamp\": ?\"[^\"\n]{10,40}\", ?\"level\": ?\"\w{2,10}\", ?\"event\": ?\""
"""What Airflow writes in front of each line that it takes from a task, where its logs are JSON."""
