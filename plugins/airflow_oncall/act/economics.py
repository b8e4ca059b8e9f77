"""What an action is worth: its chance of success against the price of its attempts and of being wrong. Pure.

    gain = P * repaired_run  -  (1 - P) * wrong_action  -  attempts * minutes * attempt_minute

It is worth doing where ``gain`` is positive; the P from which it is, is the break-even. An action is done without asking
from the policy's bar on, and never below its break-even.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_oncall.act.policy import Costs

PRIOR_WEIGHT = 4.0
"""Outcomes that a model's word counts as much as; with more of them, what was seen counts more."""


@dataclass(frozen=True)
class Statistic:
    """How an action ended before, for incidents like this one; older outcomes count less, so these are no whole numbers."""

    successes: float = 0.0
    failures: float = 0.0
    level: str = ""
    """What they have in common: ``fingerprint``, ``task`` or ``category``."""


@dataclass(frozen=True)
class Economics:
    """The figures of one action about one incident. Make one with :func:`weigh`."""

    probability: float
    attempts: int
    minutes: float | None
    """Of one attempt; ``None`` where it is not known, which counts as no cost."""
    costs: Costs

    @property
    def price(self) -> float:
        """Of all its attempts, the most it can cost."""
        return self.attempts * (self.minutes or 0.0) * self.costs.attempt_minute

    @property
    def gain(self) -> float:
        """Expected gain, in the unit of the costs."""
        wrong = 1 - self.probability
        return round(self.probability * self.costs.repaired_run - wrong * self.costs.wrong_action - self.price, 4)

    @property
    def break_even(self) -> float:
        """Probability from which there is a gain; above 1 where there is none at any."""
        lost = self.costs.wrong_action + self.price
        stake = self.costs.repaired_run + self.costs.wrong_action
        if not stake:  # nothing is won by a repair: only what costs nothing is worth it
            return 0.0 if not lost else float("inf")
        return round(lost / stake, 4)

    def __str__(self) -> str:
        costs, minutes = self.costs, self.minutes
        duration = "a time not known" if minutes is None else f"{minutes:.1f} min"
        attempts = f"{self.attempts} attempt{'s' if self.attempts != 1 else ''} of {duration} at {costs.attempt_minute:g} a minute"
        won = f"{self.probability:.0%} of {costs.repaired_run:g}"
        lost = f"{1 - self.probability:.0%} of {costs.wrong_action:g}"
        worth = f"worth it from {self.break_even:.0%} on" if self.break_even <= 1 else "never worth it"
        return f"Expected gain {self.gain:+.2f}: {won}, less {lost}, less {attempts}; {worth}"


def posterior(prior: float, seen: Statistic | None) -> float:
    """A model's probability, corrected by outcomes: the mean of a Beta distribution that begins with the model's word."""
    if seen is None:
        return prior
    return (PRIOR_WEIGHT * prior + seen.successes) / (PRIOR_WEIGHT + seen.successes + seen.failures)
