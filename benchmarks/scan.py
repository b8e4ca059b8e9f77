"""Scanning a log of 200 MB for every shipped signature, in processor time, against ripgrep with the same expressions and plain reading.

Scanning is what ripgrep does, finding the lines. Parsing adds what a poll does with them: naming their signatures, grouping lines into
records, redaction, fingerprints and collapsing.
"""

from __future__ import annotations

import os
import random
import resource
import string
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Any

from benchmarks.logtext import write_log
from benchmarks.measuring import Result, medians_in_turn, result

SIZE = 200 << 20
LARGE = 2 << 30
ROUNDS = 5
MEGABYTES = SIZE / (1 << 20)
ROOT = Path(__file__).resolve().parents[1]
RIPGREP = Path(sys.executable).with_name("rg")


def measure(home: Path) -> dict[str, Result]:
    """Speeds in MB a second, growth with ten times the signatures, memory at 2 GB."""
    from airflow_oncall.capture.logs.scanner import Scanner

    os.environ["AIRFLOW_HOME"] = str(home)
    log = home / "mixed.log"
    write_log(log, SIZE)
    signatures = _signatures()
    few, many = signatures[:64], _with_more(signatures[:64], 640)
    re2, fast = Scanner(signatures), Scanner(signatures, "fast")
    few_scanner, many_scanner = Scanner(few), Scanner(many)
    _check_counts(log, re2, fast, [one.pattern for one in signatures])
    sides: list[Callable[[int], object]] = [
        lambda _: _scan(re2, log),
        lambda _: _scan(fast, log),
        lambda _: _ripgrep(log, [one.pattern for one in signatures]),
        lambda _: _read(log),
        lambda _: _poll(re2, log),
        lambda _: _scan(few_scanner, log),
        lambda _: _scan(many_scanner, log),
    ]
    taken = medians_in_turn(sides, ROUNDS, clock=_processor_time)
    ours, with_fast, ripgrep, read, polled = (MEGABYTES / seconds for seconds in taken[:5])
    peak = _peak_megabytes(home / "large.log")
    return {
        "scan_re2_vs_rg": result(ours, ripgrep, "MB/s"),
        "scan_fast_vs_rg": result(with_fast, ripgrep, "MB/s"),
        "scan_fast_vs_read": result(with_fast, read, "MB/s"),
        "scan_parse_vs_scan": result(polled, ours, "MB/s"),
        "scan_640_vs_64_time": result(taken[6], taken[5], "s"),
        "scan_2gb_peak_mb": result(peak, 150, "MB"),
    }


def _signatures() -> list[Any]:
    from airflow_oncall import conf
    from airflow_oncall.capture.logs.signatures import read_signatures
    from airflow_oncall.store.operator_files import OperatorFiles

    return list(read_signatures(OperatorFiles([conf.shipped_include()])))


def _with_more(signatures: list[Any], count: int) -> list[Any]:
    """These and as many made up ones as are missing, each with words of its own."""
    dice = random.Random(7)
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(5, 9))) for _ in range(300)]
    made = []
    for number in range(count - len(signatures)):
        one, two, three = dice.sample(words, 3)
        pattern = rf"{one.title()}{two.title()}(?:Error|Failure): |{one} {two} (?:was|is) refused by {three}-\d+|{two} of {number} .* lost"
        made.append(signatures[0].model_copy(update={"id": f"made-{number}", "pattern": pattern}))
    return [*signatures, *made]


def _scan(scanner: Any, log: Path) -> int:
    from airflow_oncall.capture.logs.chunks import chunks

    with FileIO(log) as file:
        return sum(1 for chunk in chunks(file, 0, True, 0) for _ in scanner.lines(chunk.block, 0, chunk.end))


def _poll(scanner: Any, log: Path) -> int:
    """What a poll does with a source, up to what it would store."""
    from airflow_oncall.capture.logs.correlation import NOBODY
    from airflow_oncall.capture.logs.files import FileSource
    from airflow_oncall.capture.logs.polling import events_of

    now, incidents = datetime.now(timezone.utc), 0
    for batch in FileSource("log", str(log), scanner, "start", 0).read({}):
        times = [record.happened_at or now for record in batch.records]
        incidents += len(events_of("log", batch.records, times, [NOBODY] * len(times)))
    return incidents


def _ripgrep(log: Path, patterns: list[str]) -> int:
    expressions = [word for pattern in patterns for word in ("-e", pattern)]
    told = subprocess.run([RIPGREP, "--no-config", "-j1", "-a", "-c", *expressions, log], capture_output=True, text=True, check=True)
    return int(told.stdout)


def _read(log: Path) -> int:
    buffer, length = bytearray(1 << 20), 0
    with FileIO(log) as file:
        while count := file.readinto(buffer):
            length += count
    return length


def _processor_time() -> float:
    """Of this process and of those that it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _check_counts(log: Path, re2: Any, fast: Any, patterns: list[str]) -> None:
    counts = {"re2": _scan(re2, log), "fast": _scan(fast, log), "rg": _ripgrep(log, patterns)}
    if len(set(counts.values())) != 1:
        raise SystemExit(f"the engines found different lines, the figures would mean nothing: {counts}")


def _peak_megabytes(log: Path) -> float:
    """Peak of a fresh process that reads a log of 2 GB."""
    write_log(log, LARGE)
    try:
        code = "import sys; sys.path[:0] = sys.argv[2:]; import benchmarks.scan as scan; scan.read_alone(sys.argv[1])"
        command = [sys.executable, "-c", code, str(log), str(ROOT), str(ROOT / "plugins")]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        log.unlink()
    return float(told.stdout.split()[-1])


def read_alone(log: str) -> None:
    """Read the records of this log, then print the peak of this process in MB."""
    from airflow_oncall.capture.logs.files import FileSource
    from airflow_oncall.capture.logs.scanner import Scanner

    for _ in FileSource("log", log, Scanner(_signatures()), "start", 0).read({}):
        pass
    # getrusage would tell the peak of the process that started this one, if that is the larger.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(int(peak.split()[1]) / 1024)
