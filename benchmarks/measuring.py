"""What benchmarks share: results, and timings of two sides in turn, so that a busy machine slows both alike.

What happens inside this process is measured in processor time, which the machine's other work hardly touches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

Result = dict[str, float | str]


def result(value: float, peer: float, unit: str) -> Result:
    """One line of the report; ``ratio`` is value / peer."""
    return {"value": round(value, 4), "unit": unit, "peer": round(peer, 4), "ratio": round(value / peer, 3)}


def medians_in_turn(
    sides: Sequence[Callable[[int], object]], rounds: int, warm_up: int = 1, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Median seconds of each side by this clock, called in turn with the round's number."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(warm_up + rounds):
        for side, times in zip(sides, taken, strict=True):
            started = clock()
            side(number)
            times.append(clock() - started)
    return [statistics.median(times[warm_up:]) for times in taken]
