"""Why simulated tasks fail, and what ends it. The table decides the result: docs/simulator.md gives it with its reasons.

A cause is drawn once, with all its chances, so that every way to deal with it (this project, blind retries, nobody) meets
exactly the same trouble.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log

from simulator.texts import Kind, held_out, text_of

HORIZON = timedelta(hours=6)
"""A failure is repairable where a re-run within this time, perhaps after a wait or with more memory, would succeed."""


@dataclass(frozen=True)
class Process:
    """One way to fail. A part that is not given ends nothing."""

    name: str
    kind: Kind
    """What it looks like: the category of its text, and whether a reader of the text would say that a re-run can help."""
    share: float
    """Of all runs in trouble, outages apart."""
    again: float | None = None
    """A moment's trouble: chance that the next try meets it again."""
    lasts: float | None = None
    """Median of minutes after which it is over by itself; their logarithm spreads by ``spread``."""
    spread: float = 1.0
    memory: float | None = None
    """Chance that it is over at the next try, as the neighbour on the machine has gone; otherwise more memory is needed."""
    deceives: float = 0.03
    """Chance that its text misleads: a passing trouble that does not pass, or a lasting one that passes by itself."""

    @property
    def passes(self) -> bool:
        """Whether it ends without a person, when it does not deceive."""
        return self.again is not None or self.lasts is not None or self.memory is not None


PROCESSES = (
    Process("connection drops", ("network_connectivity", True), 0.10, again=0.15),
    Process("remote call times out", ("network_timeout", True), 0.09, again=0.25),
    Process("service away for a while", ("network_connectivity", True), 0.04, lasts=20),
    Process("database restarts", ("database_connectivity", True), 0.04, lasts=4),
    Process("deadlock or lock", ("database_performance", True), 0.07, again=0.15),
    Process("worker lost", ("infrastructure_failure", True), 0.06, again=0.08),
    Process("throttled", ("rate_limit", True), 0.06, lasts=5),
    Process("input is late", ("missing_data", True), 0.05, lasts=25, spread=1.2),
    Process("input, late or never", ("missing_data", None), 0.02, lasts=120, spread=1.5),
    Process("Airflow's time limit", ("workflow_timeout", True), 0.02, again=0.3),
    Process("out of memory", ("memory_exhaustion", False), 0.05, memory=0.3),
    Process("out of memory, untold why", ("memory_exhaustion", None), 0.02, memory=0.5),
    Process("code", ("code_error", False), 0.12),
    Process("data breaks a contract", ("data_quality", False), 0.09),
    Process("setting", ("configuration_error", False), 0.06),
    Process("identity or permission", ("authentication", False), 0.05),
    Process("input is not there", ("missing_data", False), 0.03),
    Process("disk full", ("storage_exhaustion", False), 0.03),
)
"""Shares sum to 1; a test says so."""
DECEIVED = 45.0
"""Median of minutes after which a lasting trouble that deceives has passed."""
MORE_MEMORY = (1.4, 1.9, 2.8)
"""What is needed, where more is."""
OUTAGE = Process("outage", ("database_connectivity", True), 0.0, lasts=30, deceives=0.0)
"""A database that many tasks use is away: what makes storms."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with one task instance."""

    process: Process
    text: str
    bad_tries: int = 0
    """It fails in its first so many tries."""
    until: datetime | None = None
    """It fails when started before."""
    memory: float = 1.0
    """It fails with less than so many times its memory."""
    lasting: bool = False
    """It fails until a person has mended it."""

    def fails(self, nth: int, started_at: datetime, memory: float = 1.0) -> bool:
        """Whether the nth try fails, as long as nobody mended anything."""
        waits = self.until is not None and started_at < self.until
        return self.lasting or nth <= self.bad_tries or waits or memory < self.memory

    def is_repairable(self, failed_at: datetime) -> bool:
        """Whether some re-run within :data:`HORIZON` would succeed without a person having mended anything."""
        return not self.lasting and (self.until is None or self.until <= failed_at + HORIZON)


def draw(process: Process, at: datetime, dice: random.Random) -> Trouble:
    """A trouble of this process that begins now."""
    text = text_of(process.kind, dice)
    deceives = dice.random() < process.deceives
    if process.passes == deceives:
        return Trouble(process, text, lasting=True)
    if deceives:
        return Trouble(process, text, until=at + _minutes(dice, DECEIVED, 1.0))
    needs_more = process.memory is not None and dice.random() >= process.memory
    return Trouble(
        process,
        text,
        bad_tries=_bad_tries(process, dice),
        until=at + _minutes(dice, process.lasts, process.spread) if process.lasts is not None else None,
        memory=dice.choice(MORE_MEMORY) if needs_more else 1.0,
    )


def _bad_tries(process: Process, dice: random.Random) -> int:
    if process.lasts is not None:
        return 0
    count = 1
    while process.again is not None and dice.random() < process.again:
        count += 1
    return count


def processes(passing: float = 1.0) -> list[tuple[Process, float]]:
    """Processes with their weights; those that pass by themselves weigh ``passing`` times as much."""
    missing = [process.name for process in PROCESSES if process.kind not in held_out()]
    if missing:
        raise SystemExit(f"no held-out text for {', '.join(missing)}; the corpus changed, choose another kind in simulator/causes.py")
    return [(process, process.share * (passing if process.passes else 1)) for process in PROCESSES]


def _minutes(dice: random.Random, median: float, spread: float) -> timedelta:
    return timedelta(minutes=dice.lognormvariate(log(median), spread))
