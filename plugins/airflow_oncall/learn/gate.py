"""The gate: a challenger is promoted only where it is nowhere worse and somewhere better, and every word of that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

CHAMPION = "champion"


class Figure(NamedTuple):
    """A figure that the gate looks at."""

    key: str
    name: str
    rises: bool
    """Whether more of it is better."""


FIGURES = (
    Figure("macro_f1_lenient", "macro-F1", True),
    Figure("transient_precision", "transient precision", True),
    Figure("ece", "ECE", False),
)


@dataclass(frozen=True)
class Passage:
    """Whether the challenger may be promoted, and why."""

    is_open: bool
    reasons: tuple[str, ...]


Report = Mapping[str, Any]
"""What ``learn.evaluation.measure`` gives."""


def gate(challenger: Mapping[str, Report], opponents: Mapping[str, Mapping[str, Report]], *, outdated: str = "") -> Passage:
    """Compare reports, by the rows they were measured on, with those of the champion (if any), of rules alone and of the majority.

    No figure of the champion's may be better than the challenger's beyond its own 95 % interval, on any of the rows, and one
    of the challenger's has to be better on some of them; not where the champion is ``outdated``, which says why. The others
    are compared by macro-F1 alone: who always says the same is perfectly calibrated.
    """
    worse = [reason for name, reports in opponents.items() for reason in _worse(challenger, name, reports)]
    if worse:
        return Passage(False, tuple(worse))
    if CHAMPION not in opponents:
        return Passage(True, (f"there is no champion, and it is not worse than {' and '.join(opponents) or 'nothing'}",))
    better = tuple(_better(challenger, opponents[CHAMPION]))
    if better or outdated:
        return Passage(True, (*better, *filter(None, [outdated]), "nothing is worse beyond its interval"))
    return Passage(False, ("nothing is worse, but nothing is better either: the champion stays",))


def _worse(challenger: Mapping[str, Report], opponent: str, reports: Mapping[str, Report]) -> Iterator[str]:
    figures = FIGURES if opponent == CHAMPION else FIGURES[:1]
    for rows, figure, mine, theirs in _pairs(challenger, reports, figures):
        low, high = reports[rows].get("intervals", {}).get(figure.key, (theirs, theirs))
        if mine < low if figure.rises else mine > high:
            yield f"{figure.name} on the {rows} is {mine:.3f}, {opponent}: {theirs:.3f} [{low:.3f}, {high:.3f}]"


def _better(challenger: Mapping[str, Report], champion: Mapping[str, Report]) -> Iterator[str]:
    for rows, figure, mine, theirs in _pairs(challenger, champion, FIGURES):
        if mine > theirs if figure.rises else mine < theirs:
            yield f"{figure.name} on the {rows} is {mine:.3f}, champion: {theirs:.3f}"


def _pairs(
    challenger: Mapping[str, Report], other: Mapping[str, Report], figures: Sequence[Figure]
) -> Iterator[tuple[str, Figure, float, float]]:
    for rows in challenger:
        for figure in figures:
            mine, theirs = challenger[rows].get(figure.key), other.get(rows, {}).get(figure.key)
            if mine is not None and theirs is not None:
                yield rows, figure, float(mine), float(theirs)
