"""A decision in the light of the policy file: what the file says about one task instance, on which line, and which line decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall.act.effective import Effective
from airflow_oncall.act.hours import maintenance_of, quiet_until
from airflow_oncall.act.policy import CategoryRule, Maintenance, Policy
from airflow_oncall.act.policy_file import PolicyFile
from airflow_oncall.incident import ActionKind, Decision, Verdict

EVIDENCE = "Evidence: "
"""So begin a decision's reasons that are the diagnosis's own."""
NOT_THE_POLICY = "what was found, declared or paused, not the policy"
_OUTCOMES = {
    Verdict.AUTO: "{action} without asking",
    Verdict.ASK: "a person is asked about {action}",
    Verdict.ESCALATE: "a person is told; nothing is done",
    Verdict.OBSERVE: "nothing is done, the end is only watched",
}


class Line(NamedTuple):
    """One thing that the policy says, and where."""

    what: str
    value: str
    where: str


@dataclass(frozen=True)
class Explanation:
    """A decision about one task instance, and the policy as it is for that one."""

    file: PolicyFile
    found: Effective
    dag_id: str
    category: str
    decision: Decision
    at: datetime

    @property
    def decided_by(self) -> str:
        """Place of the policy that made the decision what it is; empty where it was the diagnosis, the author or a person."""
        basis, verdict = self.decision.basis, self.decision.verdict
        reasons = ((one["guard"], str(one["reason"]).rstrip(".")) for one in basis["guards"])
        guard = basis.get("held_by") or next((guard for guard, reason in reasons if reason in self.decision.reasons[0]), None)
        if self.found.mode == "shadow":
            return self.found.places["mode"]
        if verdict is Verdict.OBSERVE and self.decision.arm:
            return "holdout.share"
        if guard:
            return self._place_of_guard(str(guard))
        if verdict is Verdict.ESCALATE:
            return self._place_of_refusal()
        return self._place_of_question() if verdict is Verdict.ASK else f"{basis['lines']['thresholds']}.auto"

    def _place_of_guard(self, guard: str) -> str:
        if guard == "always_ask":
            return self.found.asks(str(self.decision.basis["action"])) or ""
        if guard == "maintenance":
            number = next((number for number, one in self._maintenance() if one.covers(self.at)), 0)
            return f"maintenance.{number}"
        if guard.startswith("budgets."):
            return self.found.places[guard]
        known = {"breaker.action": "breaker", "breaker.dag": "breaker", "backfill": "risk.backfill"}
        return known.get(guard, guard if guard.split(".")[0] in Policy.model_fields else "")

    def _place_of_refusal(self) -> str:
        basis = self.decision.basis
        if basis["action"] == ActionKind.ESCALATE:
            return self.found.rule_place(self.category) or "categories"
        return f"{basis['lines']['thresholds']}.ask" if self.decision.probability < basis["ask"] else ""

    def _place_of_question(self) -> str:
        basis, reason = self.decision.basis, self.decision.reasons[0]
        if reason.startswith("Mode ask"):
            return self.found.places["mode"]
        below = basis["bar"] is None or self.decision.probability < basis["bar"]
        costs_more = basis["bar"] is None or basis["bar"] > basis["auto"]
        if not below:
            return ""
        return (self.found.places["costs"] or "costs") if costs_more else f"{basis['lines']['thresholds']}.auto"

    def lines(self) -> list[Line]:
        """What decided, then what the policy says, each with its line."""
        found, action = self.found, str(self.decision.basis["action"])
        rule, bars, asks = found.rule(self.category), found.bars(self.category, action), found.asks(action)
        place = self.decided_by
        said = [
            ("mode", found.mode, found.places["mode"]),
            ("rule", _rule(rule) if rule else "none, so it is escalated", found.rule_place(self.category) or "categories"),
            ("thresholds", f"auto {bars.thresholds.auto:.0%}, ask {bars.thresholds.ask:.0%}", bars.place),
            ("always ask", "yes" if asks else "no", asks or ""),
            ("costs", ", ".join(f"{name} {value:g}" for name, value in found.costs.model_dump().items()), found.places["costs"]),
            *(
                ("budget", f"{name} {most}", found.places[f"budgets.{name}"])
                for name, most in found.budgets.model_dump(exclude_none=True).items()
            ),
            ("approvers", ", ".join(found.approvers) or "whoever Airflow lets", found.places["approvers"]),
            ("told through", found.route or "[oncall] escalation_notifiers", found.places["route"]),
            *self._times(),
        ]
        first = Line("decided by", place or NOT_THE_POLICY, self.file.where(place) if place else "")
        return [first, *(Line(what, value, self.file.where(place)) for what, value, place in said)]

    def _times(self) -> Iterator[tuple[str, str, str]]:
        until = quiet_until(self.found.policy.quiet_hours, self.at)
        if until:
            yield "quiet hours", f"until {until:%Y-%m-%d %H:%M} UTC", "quiet_hours"
        for number, one in self._maintenance():
            if one.end > self.at:
                yield "maintenance", f"{one.start:%Y-%m-%d %H:%M %Z} to {one.end:%Y-%m-%d %H:%M %Z}", f"maintenance.{number}"

    def _maintenance(self) -> list[tuple[int, Maintenance]]:
        own = maintenance_of(self.found.policy, self.dag_id)
        return [(number, one) for number, one in enumerate(self.found.policy.maintenance) if one in own]

    @property
    def outcome(self) -> str:
        """What would be done, in one line."""
        decision = self.decision
        if decision.verdict is Verdict.WAIT:
            done = f"{decision.action} without asking, after {decision.wait_seconds} s" if decision.action else "nothing yet"
            return done if decision.action else f"{done}; it is looked at again in {decision.wait_seconds} s"
        return _OUTCOMES[decision.verdict].format(action=decision.action)

    def plain(self) -> dict[str, Any]:
        """For programs."""
        decision = asdict(self.decision)
        shown = ("verdict", "action", "probability", "wait_seconds", "mode", "parameters", "arm", "reasons", "basis")
        return {"outcome": self.outcome} | {name: decision[name] for name in shown} | {"policy": [one._asdict() for one in self.lines()]}

    def print(self, out: Console, *, evidence: bool = True) -> None:
        """For people; without the evidence, where that was shown already."""
        out.print(Text(f"-> {self.outcome}", style="bold"))
        for reason in self.decision.reasons:
            if evidence or not reason.startswith(EVIDENCE):
                out.print(Text(f"   {reason}"))
        decided, *said = self.lines()
        out.print(Text(f"Decided by {' at '.join(dict.fromkeys(filter(None, (decided.value, decided.where))))}", style="bold"))
        table = Table("the policy says", "", "line", title=str(self.file.path), title_justify="left")
        for line in said:
            table.add_row(*map(Text, (line.what, line.value, line.where.removeprefix(f"{self.file.path}:"))))
        out.print(table)


def _rule(rule: CategoryRule) -> str:
    waits = f", after {rule.wait_seconds} s" if rule.wait_seconds else ""
    given = ", ".join(f"{name} {value}" for name, value in rule.parameters.items())
    return f"{rule.action}{waits}" + (f" ({given})" if given else "")
