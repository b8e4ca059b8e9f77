"""Put together what a decision depends on: the store's counts, the author's word, what Airflow says, what models expect.

In two steps, because most calls to Airflow are only worth their price where something would be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import takewhile

from airflow_oncall.act import assignment, killswitch
from airflow_oncall.act.actions.base import Impossible, PlanContext
from airflow_oncall.act.actions.registry import for_member, plan
from airflow_oncall.act.breaker import look_back
from airflow_oncall.act.decide import RERUNS, action_kind, declaration, effective_of
from airflow_oncall.act.economics import posterior
from airflow_oncall.act.effective import subject_of
from airflow_oncall.act.experience import statistic
from airflow_oncall.act.guards import breakers_of, limits_of
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.situation import CRITICAL, AdaptedBar, Situation
from airflow_oncall.brain import Brain
from airflow_oncall.facts import Facts
from airflow_oncall.incident import ActionKind, Diagnosis, Incident, Kind, Occurrence, OutcomeKind
from airflow_oncall.knowledge.base import Alike, KnowledgeBase
from airflow_oncall.rest import AirflowApi, TaskView
from airflow_oncall.store.experiments import THOMPSON
from airflow_oncall.store.outcomes import Experience
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.triage.models import Circumstances, Recommendation, Remedy
from airflow_oncall.triage.severity import severity

MOST_COUNTED = 100
"""Task instances that cannot run are counted up to here, or up to what the policy asks about."""
DRAWN_FROM = 500
"""Newest decisions of each arm of an experiment that its next draw goes by: more would hardly make it surer, and cost time."""
SHOWN = 3
"""Remedies named in a decision's reasons."""


class Situations:
    """Situations of one deployment, under the mode of its settings."""

    def __init__(self, store: Store, facts: Facts, mode: str) -> None:
        self._store, self._facts, self._mode = store, facts, mode
        self.knowledge = KnowledgeBase(store)

    def first(
        self,
        api: AirflowApi,
        policy: Policy,
        brain: Brain,
        incident: Incident,
        diagnosis: Diagnosis,
        *,
        draws: bool = True,
        action: str | None = None,
    ) -> Situation:
        """All but what :meth:`risks` adds. ``draws``: whether experiments may assign the action; ``action``: in place of the rule's."""
        in_wave = self._store.storms.in_wave(incident)
        bare = Situation(incident, diagnosis, self._mode, at=now(), why_paused=killswitch.why_paused(self._store), in_wave=in_wave)
        if incident.kind in (Kind.DAG_IMPORT, Kind.LOG):
            return bare
        task = self._facts.task(api, incident.ref)
        if task is None:
            return replace(bare, is_removed=True)
        declared = replace(
            bare,
            declared=declaration(task.tags, task.params),
            retries=task.retries,
            is_paused=task.is_paused,
            subject=subject_of(incident.ref, task),
            is_critical=CRITICAL in task.tags,
            action=action,
        )
        drawn = _in_wave(self._drawn(declared, policy) if draws else declared, policy)
        return self._counted(self._expected(api, policy, brain, drawn, task), policy)

    def risks(self, api: AirflowApi, situation: Situation, kind: str) -> Situation:
        """The same with what only matters where something would be done, and costs calls; ``kind``: of the action."""
        ref, planned = situation.incident.ref, self._planned(api, situation, kind)
        minutes = self._facts.minutes(api, ref) if ref.task_id else None
        return replace(
            planned,
            minutes=minutes if minutes is not None else self._minutes_of_the_failed_try(situation.incident),
            never_succeeded=bool(ref.task_id) and self._facts.never_succeeded(api, ref),
            has_backfill=self._facts.has_backfill(api, ref.dag_id),
            run_began=self._facts.run_began(api, ref, self._store.reading.run_began),
            changed_code=self._facts.changed_code(api, ref),
        )

    def _drawn(self, declared: Situation, policy: Policy) -> Situation:
        """The same with the arm of the experiment that it is part of, or whether it is left out to measure the gain."""
        incident, category, found = declared.incident, declared.diagnosis.category, effective_of(declared, policy)
        rule = found.rule(category)
        if rule is None or found.mode == "shadow" or not assignment.is_drawn(incident):
            return declared
        experiment = self._store.experiments.running(category, incident.fingerprint)
        if experiment:
            results = self._store.experiments.counts(experiment, DRAWN_FROM) if experiment.assignment == THOMPSON else {}
            draw = assignment.experimental(experiment, incident.ref.key, rule, results)
        else:
            critical = declared.is_critical
            draw = assignment.held_out(incident, category, action_kind(declared, found), found, is_critical=critical)
        return replace(declared, action=draw.action or declared.action, arm=draw.arm, is_held_out=draw.is_left_out)

    def _planned(self, api: AirflowApi, situation: Situation, kind: str) -> Situation:
        incident, task = situation.incident, self._facts.task(api, situation.incident.ref)
        if task is None:
            return situation
        planned = plan(kind, PlanContext(self._store, api, incident, situation.diagnosis, task, situation.parameters))
        if isinstance(planned, Impossible):
            return replace(situation, impossible=planned.reason)
        wait, asks = planned.wait_seconds, planned.ask
        return replace(situation, planned_attempts=planned.attempts, parameters=planned.parameters, planned_wait=wait, asks=asks)

    def _expected(self, api: AirflowApi, policy: Policy, brain: Brain, bare: Situation, task: TaskView) -> Situation:
        incident, diagnosis = bare.incident, bare.diagnosis
        found = effective_of(bare, policy)
        rule, kind = found.rule(diagnosis.category), action_kind(bare, found)
        ranking = brain.recommend(diagnosis, self._circumstances(incident))
        tries = self._store.reading.occurrences(incident.id)  # none of an invented incident
        alike = self.knowledge.similar_to(incident.fingerprint, tries[-1].evidence.text if tries else "\n".join(diagnosis.evidence))
        seen = self._store.outcomes.experience(incident, diagnosis.category, without=alike.fingerprints)
        remedy = Remedy(kind, waits=bool(kind != ActionKind.CLEAR_RUN and rule and rule.wait_seconds))
        downstream = self._facts.waiting(api, incident.ref, max(MOST_COUNTED, policy.risk.downstream + 1))
        return replace(
            bare,
            chance=next((one.probability for one in ranking if one.remedy == remedy), None),
            statistic=statistic(seen.get(kind, {}), is_rerun=kind in RERUNS),
            advice=", ".join(f"{one.remedy} {one.probability:.0%}" for one in _learned(ranking, alike, seen)[:SHOWN]),
            alike=alike.lines,
            alike_statistics=alike.evidence,
            parameters=rule.parameters if rule else {},
            downstream=downstream,
            severity=_severity(diagnosis, CRITICAL in task.tags, downstream),
            failed_repairs=self._failed_repairs(incident),
            outlasted=_outlasted(tries),
            adapted=self._adapted(diagnosis.category, kind, policy),
        )

    def _counted(self, situation: Situation, policy: Policy) -> Situation:
        found = effective_of(situation, policy)
        ref, category, kind = situation.incident.ref, situation.diagnosis.category, action_kind(situation, found)
        if kind == ActionKind.ESCALATE:
            return situation
        breakers = breakers_of(ref, category, kind)
        limits = limits_of(found.budgets, ref, category, kind, in_wave=situation.in_wave)
        used = self._store.guards.used((*limits, *breakers))
        since = now() - look_back(policy.breaker)
        ended = {one.name: self._store.guards.ended(one, since, policy.breaker.of) for one in breakers}
        return replace(situation, used=used, ended=ended)

    def _failed_repairs(self, incident: Incident) -> int:
        return sum(outcome.kind is OutcomeKind.FAILED_SAME for outcome in self._store.reading.outcomes(incident.id))

    def _adapted(self, category: str, kind: str, policy: Policy) -> AdaptedBar | None:
        bar = self._store.bars.get(category, kind) if policy.adapt.enabled else None
        return AdaptedBar(bar.auto, bar.base) if bar else None

    def _circumstances(self, incident: Incident) -> Circumstances:
        """What is known beside the text: the try, how repairs of this task and of its like ended, the time of day (UTC)."""
        resolved, failed = self._store.labels.earlier_repairs(incident.ref.dag_id, incident.ref.task_id, incident.fingerprint)
        at = now()
        return Circumstances(incident.try_number, resolved, failed, at.hour, at.weekday())

    def _minutes_of_the_failed_try(self, incident: Incident) -> float | None:
        seen = self._store.reading.occurrences(incident.id)  # an invented incident has none
        duration = seen[-1].evidence.duration if seen else None
        return round(timedelta(seconds=duration) / timedelta(minutes=1), 3) if duration is not None else None


def _outlasted(tries: Sequence[Occurrence]) -> timedelta | None:
    """How long a task instance kept failing with the cause of its newest try, which said one, while Airflow itself retried it."""
    if not tries or not tries[-1].evidence.text:
        return None
    newest = tries[-1]
    in_a_row = takewhile(lambda one: one.will_retry, reversed(tries[:-1]))  # not those before an earlier repair
    alike = [one.happened_at for one in in_a_row if one.fingerprint == newest.fingerprint]
    return max(newest.happened_at - alike[-1], timedelta(0)) if alike else None


def _in_wave(situation: Situation, policy: Policy) -> Situation:
    """The same; of a member that follows a storm's probe, with what is to be done about each of them."""
    found = effective_of(situation, policy)
    rule, kind = found.rule(situation.diagnosis.category), action_kind(situation, found)
    own = for_member(kind, rule.parameters if rule else {}) if situation.in_wave else kind
    return situation if own == kind else replace(situation, action=own, arm="")


def _learned(ranking: Sequence[Recommendation], alike: Alike, seen: Experience) -> list[Recommendation]:
    """The models' ranking, each remedy corrected by how it ended before, as decisions are."""

    def corrected(one: Recommendation) -> float:
        kind = one.remedy.kind
        before = posterior(one.probability, alike.evidence.get(kind))
        return posterior(before, statistic(seen.get(kind, {}), is_rerun=kind in RERUNS))

    return sorted((replace(one, probability=corrected(one)) for one in ranking), key=lambda one: -one.probability)


def _severity(diagnosis: Diagnosis, critical: bool, downstream: int) -> str:
    found = severity(diagnosis.category, critical=critical, downstream=min(downstream, MOST_COUNTED))
    return f"{found.level} ({'; '.join(found.reasons) or 'nothing else depends on it'})"
