"""Storms: many failures with one cause are one trouble, so one member is repaired first and the others wait for it.

 1 gather   many undiagnosed incidents with one fingerprint: one is diagnosed, all are held as members of its cause's storm
 2 hold     a diagnosed incident whose cause (category and shared resource) many others have, or a storm already has, is held
 3 probe    one member goes the ordinary way: decided, asked about or repaired, followed to its end
 4 release  the probe ran and succeeded: waves follow, each larger than the one before, within the hour's budget, by ordinary decisions
 5 wait     the probe, or half a wave, failed again: what is left of the wave is held again, the next probe comes later; a probe whose
    own text forbids a repair says nothing of members with another text, so one of those goes ahead
 6 hand over  too many probes failed: people are told once and asked once, about the storm; what they approve probes again, and when
    that fails, too, they are told and asked anew
 7 one question, one answer: it holds for every member that would be asked about; meanwhile those are held
 8 a member that a person runs, marks or deletes meanwhile goes its own way; one that fails anew is diagnosed anew
 9 close    no member is held or under way; what was left to people is told once
10 shadow   the probe is only observed, so nothing follows; the storm is seen and reported
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from airflow_oncall.act.approval import may_answer
from airflow_oncall.act.decide import RERUNS, declaration, held_by, is_held
from airflow_oncall.act.effective import Subject, effective, subject_of
from airflow_oncall.act.escalate import tell_of_storm
from airflow_oncall.act.guards import hourly
from airflow_oncall.act.notify.quiet import seconds_until, silence
from airflow_oncall.act.resting import resting
from airflow_oncall.act.verify import look
from airflow_oncall.errors import AirflowApiError, NotFound
from airflow_oncall.incident import (
    Action,
    ActionKind,
    ActionState,
    Decision,
    Diagnosis,
    Incident,
    Kind,
    Occurrence,
    Outcome,
    OutcomeKind,
    State,
    Storm,
    StormState,
    Verdict,
)
from airflow_oncall.judgement import Judged, Judgement
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.ledger import LostClaim
from airflow_oncall.store.notices import Occasion
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store
from airflow_oncall.store.storms import Flood, Progress, StormMoved

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=90)
PACE = 300.0
"""Seconds between looks at a storm that waits for people."""
LONGEST_WAIT = 86_400
CANDIDATES = 20
"""Tasks that are looked at for one that may be repaired without asking."""
READY, ASKS, RESTS, UNFIT = range(4)
HELD_SECONDS = 3600.0
SHARING = frozenset(
    {
        "database_connectivity",
        "database_performance",
        "storage_exhaustion",
        "memory_exhaustion",
        "network_connectivity",
        "network_timeout",
        "rate_limit",
        "authentication",
        "infrastructure_failure",
    }
)
"""Categories whose cause is a resource that tasks share; in the others the text alone tells what is alike."""
OF_THE_WORKER = frozenset({"storage_exhaustion", "memory_exhaustion", "infrastructure_failure"})
"""Categories that may be the trouble of the machine that ran the task."""


def cause_of(diagnosis: Diagnosis, seen: Occurrence) -> str:
    """What a failure may have in common with others: category and shared resource, else its fingerprint; empty where nothing tells."""
    shared = ""
    if diagnosis.category in SHARING:
        named = diagnosis.identifiers
        place = ":".join(filter(None, (named.get("host"), named.get("port")))) if named.get("host") else ""
        worker = seen.evidence.hostname if diagnosis.category in OF_THE_WORKER else ""
        resources = (("at", place), ("database", named.get("database")), ("application", named.get("application_id")), ("worker", worker))
        shared = next((f"{what} {name}" for what, name in resources if name), "")
    shared = shared or (seen.fingerprint and f"fingerprint {seen.fingerprint}")
    return f"{diagnosis.category} {shared}"[:250] if shared else ""


class StormWatch:
    """Gathers storms and takes them on; one a tick."""

    def __init__(self, store: Store, api: AirflowApi, judgement: Judgement) -> None:
        self.store, self.api, self.judgement = store, api, judgement
        self._steps = {
            StormState.PROBING: self._probing,
            StormState.WAITING: self._waiting,
            StormState.RELEASING: self._releasing,
            StormState.ESCALATED: self._escalated,
        }

    # members

    def cause(self, incident: Incident, diagnosis: Diagnosis) -> str:
        """See :func:`cause_of`."""
        return cause_of(diagnosis, self.store.reading.occurrences(incident.id)[-1]) if incident.kind is Kind.TASK else ""

    def gather(self) -> int:
        """Hold every flood of undiagnosed incidents as members of a storm; the number of incidents."""
        settings = self.judgement.policy.storms
        floods = self.store.storms.floods(settings.members, timedelta(minutes=settings.window_minutes))
        return sum(map(self._gather, floods))

    def _gather(self, flood: Flood) -> int:
        first = self.store.queue.claim(flood.first_id, LEASE)
        if first is None:
            return 0
        diagnosis = self.judgement.diagnose(self.api, first)
        taken = self.store.storms.gather_flood(flood, self.cause(first, diagnosis), diagnosis, self._mode(first))
        self.store.queue.release(first.id)
        return taken

    def hold(self, incident: Incident) -> Incident | None:
        """The diagnosed incident as a member of the storm of its cause; ``None`` where there is none and it makes none."""
        if incident.kind is not Kind.TASK or incident.storm_id:
            return None
        settings = self.judgement.policy.storms
        cause, alike, is_on = self.store.storms.cause_of(incident.id, timedelta(minutes=settings.window_minutes))
        diagnosis = self.store.reading.diagnosis(incident.id)
        if not cause or diagnosis is None or not (is_on or alike >= settings.members):
            return None
        if is_on:
            self.store.storms.join(incident, cause, diagnosis, self._mode(incident))
        else:
            self.store.storms.gather_cause(cause, diagnosis, self._mode(incident))
        fresh = self.store.reading.incident(incident.id)
        if fresh is None or fresh.state is not State.HELD:
            raise LostClaim(f"incident {incident.id} is no longer ours to hold: another worker has it")
        return fresh

    def _mode(self, incident: Incident) -> str:
        """The mode for this member; Airflow is asked about its task only where an override has a mode."""
        policy, ref = self.judgement.policy, incident.ref
        subject = Subject(ref.dag_id, ref.task_id)
        if any(override.mode for override in policy.overrides):
            with suppress(NotFound):
                subject = subject_of(ref, self.api.task(ref.dag_id, ref.task_id))
        return effective(policy, subject, self.judgement.mode).mode

    def agreed(self, storm: Storm | None, incident: Incident, judged: Judged) -> Judged | None:
        """The decision in the light of the storm that it is a member of; ``None``: it is held until the storm's question is answered."""
        if storm is None or is_held(judged.decision):
            return judged
        found = self._agreed(storm, incident, judged)
        return found and found._replace(decision=replace(found.decision, basis={**found.decision.basis, "storm": storm.id}))

    def _agreed(self, storm: Storm, incident: Incident, judged: Judged) -> Judged | None:
        verdict, is_probe = judged.decision.verdict, storm.probe_id == incident.id
        last_word = is_probe and storm.state is StormState.ESCALATED
        if last_word and verdict in (Verdict.AUTO, Verdict.WAIT):
            return _asked(judged, f"{storm.probes - 1} probes failed")
        if verdict is Verdict.ASK and not last_word:
            return self._answered(storm, incident, judged)
        if verdict is Verdict.ESCALATE and not is_probe:
            return _left(judged, judged.decision.reasons[0])
        return judged

    def _answered(self, storm: Storm, incident: Incident, judged: Judged) -> Judged | None:
        allowed = judged.decision.basis.get("approvers", ())
        known = (storm.answered_by,)
        if storm.answer == "approved" and (may_answer(known, allowed) or may_answer(self.store.storms.answered_as(storm), allowed)):
            return _approved(judged, storm.answered_by)
        if storm.probe_id == incident.id:
            return judged
        if storm.answer == "rejected":
            return _left(judged, f"The storm's question was answered with no by {storm.answered_by}.")
        return None if self.store.storms.progress(storm).asked or self._silence([incident.ref.dag_id]) else judged

    def called_off(self, incident: Incident, action: Action | None = None) -> Incident | None:
        """The member of a wave that was called off, held again without its plan; ``None``: it may go on.

        What a person approved by itself goes on, and so does what was begun.
        """
        storm = self.store.storms.of(incident)
        if storm is None or storm.state is StormState.RELEASING or storm.probe_id == incident.id:
            return None
        if action and (action.approved_by or self._was_begun(incident, action)):
            return None
        detail = f"held: its wave was called off, storm {storm.id} is {storm.state}"
        if action:
            return self.store.ledger.acted(incident, action, ActionState.DROPPED, detail, State.HELD, HELD_SECONDS)
        return self.store.ledger.move(incident, State.HELD, due_in=HELD_SECONDS, detail=detail, what="held")

    def _was_begun(self, incident: Incident, action: Action) -> bool:
        """Whether Airflow, or an action of several steps, is no longer as it was when this was planned."""
        standing = look(self.api, incident)
        moved = standing.state != "failed" or standing.try_number != action.answers_try
        return moved or (incident.looks > 0 and action.kind not in RERUNS)

    # the storm itself

    def look_after(self) -> None:
        """Take every storm that is on one step further, where it can go further."""
        for storm in self.store.storms.open():
            try:
                self._steps[storm.state](storm)
            except StormMoved as moved:
                log.info("%s", moved)
            except AirflowApiError as error:
                log.warning("storm %s (%s) waits: %s", storm.id, storm.cause, error)

    def _probing(self, storm: Storm) -> None:
        probe = self.store.reading.incident(storm.probe_id) if storm.probe_id else None
        if probe is None or probe.state is State.CLOSED:
            self._choose(storm)
        elif probe.state in (State.RESOLVED, State.SELF_HEALED):
            self._proven(storm, probe)
        elif probe.storm_id != storm.id or probe.state is State.HELD:
            self._failed(storm, f"the probe (incident {probe.id}) failed again")
        elif probe.state is State.ESCALATED:
            self._left_to_people(storm, probe)
        elif probe.state is State.OBSERVED:
            self._observed(storm)

    def _proven(self, storm: Storm, probe: Incident) -> None:
        """Release the others, unless a person only marked the probe: then nothing ran, and another one has to show it."""
        ended = self._outcome(storm, probe)
        if ended and ended.try_number <= probe.try_number and not _is_repair(ended):
            self._choose(storm)
        else:
            self._release(storm, self.store.storms.progress(storm))

    def _left_to_people(self, storm: Storm, probe: Incident) -> None:
        other = self._with_other_text(storm, probe)
        if other:
            self._send_ahead(storm, other)
        else:
            # Without the probe's own detail, for the reason that _send_ahead gives.
            self.store.storms.move(storm, StormState.ESCALATED, f"probe {storm.probes} (incident {probe.id}) is left to people", PACE)

    def _with_other_text(self, storm: Storm, probe: Incident) -> Incident | None:
        """The next probe in place of one whose own text says that a re-run is in vain: a member that reads differently.

        What the policy says of the category, or a guard or a person of the probe, goes for all of them.
        """
        decision, diagnosis = self.store.reading.decision(probe.id), self.store.reading.diagnosis(probe.id)
        refused = decision is not None and decision.verdict is Verdict.ESCALATE and decision.basis.get("action") in RERUNS
        if not refused or diagnosis is None or diagnosis.transient or storm.probes >= self.judgement.policy.storms.most_probes:
            return None
        fitness, found = self._fittest(storm, self._resting(storm), with_other_text=True)
        return found if fitness < UNFIT else None

    def _outcome(self, storm: Storm, probe: Incident) -> Outcome | None:
        """How the probe ended since it was chosen."""
        seen = self.store.reading.outcomes(probe.id)[-1:]
        return next((one for one in seen if one.seen_at >= (storm.since or storm.opened_at)), None)

    def _observed(self, storm: Storm) -> None:
        """Shadow mode, at least of the probe's DAG; it may have changed since."""
        if _is_early(storm):
            return
        if self._candidate(storm)[0] < UNFIT:
            self._choose(storm)
        else:
            self.store.storms.move(storm, StormState.PROBING, "Shadow mode: it is observed, and nothing is done", PACE)

    def _waiting(self, storm: Storm) -> None:
        if not _is_early(storm):
            self._choose(storm)

    def _escalated(self, storm: Storm) -> None:
        probe = self.store.reading.incident(storm.probe_id) if storm.probe_id else None
        ended = self._outcome(storm, probe) if probe else None
        if probe and probe.state is State.RESOLVED and ended and _is_repair(ended):
            self._release(storm, self.store.storms.progress(storm))
        elif _is_early(storm):
            return
        elif probe and ended and ended.action_id and storm.held and _is_done_with(storm, probe):
            self._hand_over(storm, f"probe {storm.probes} (incident {probe.id}) did not help, though a person was asked")
        elif probe is None and storm.held and storm.answer != "rejected":
            self._replace(storm)
        elif probe and (other := self._with_other_text(storm, probe)):
            self._send_ahead(storm, other)
        elif self.store.storms.progress(storm).is_over:
            self.store.storms.move(storm, StormState.CLOSED, "every member has ended")
        else:
            self.store.storms.move(storm, StormState.ESCALATED, storm.detail, PACE)

    def _replace(self, storm: Storm) -> None:
        """Another probe for one about which all data was deleted; people are asked about it where as many as may have failed."""
        if storm.probes < self.judgement.policy.storms.most_probes:
            self._choose(storm)
        else:
            self._hand_over(storm, f"the data about probe {storm.probes} (incident {storm.probe_id}) was deleted")

    def _releasing(self, storm: Storm) -> None:
        progress = self.store.storms.progress(storm)
        if progress.wave_failed:
            said = f"{progress.failed} of wave {storm.wave} failed again"
            self._failed(storm, said if progress.failed else f"nothing of wave {storm.wave} was seen to succeed")
        elif progress.wave_succeeded or (progress.only_guarded and self.store.storms.guarded_dags(storm) <= self._resting(storm)):
            self._release(storm, progress)

    def _choose(self, storm: Storm) -> None:
        found = self._candidate(storm)[1]
        if found:
            self._send_ahead(storm, found)
        elif (progress := self.store.storms.progress(storm)).is_over:
            self._close(storm, progress)

    def _send_ahead(self, storm: Storm, probe: Incident) -> None:
        # Neither its name nor its words: whoever sees one member reads this, and may not see the DAG of another.
        detail = f"probe {storm.probes + 1} is incident {probe.id}"
        self.store.storms.probe(storm, probe.id, StormState.PROBING, detail)

    def _candidate(self, storm: Storm) -> tuple[int, Incident | None]:
        """How fit the fittest held member is for a probe, and which that is; none that reads as what is a person's, if there are others."""
        resting = self._resting(storm)  # asks Airflow, so once for both
        fittest = self._fittest(storm, resting, with_other_text=True)
        return fittest if fittest[1] else self._fittest(storm, resting)

    def _fittest(self, storm: Storm, resting: set[str], *, with_other_text: bool = False) -> tuple[int, Incident | None]:
        best: tuple[int, Incident | None] = (UNFIT, None)
        for one in self.store.storms.candidates(storm, CANDIDATES, resting, with_other_text=with_other_text):
            fitness = self._fitness(one, resting)
            if best[1] is None or fitness < best[0]:
                best = fitness, one
            if fitness == READY:
                break
        return best

    def _fitness(self, incident: Incident, resting: set[str]) -> int:
        try:
            task = self.api.task(incident.ref.dag_id, incident.ref.task_id)
        except NotFound:
            return UNFIT
        policy = effective(self.judgement.policy, subject_of(incident.ref, task), self.judgement.mode)
        declared = declaration(task.tags, task.params)
        if task.is_paused or declared == "never" or policy.mode == "shadow":
            return UNFIT
        if incident.ref.dag_id in resting or self.judgement.has_backfill(self.api, incident.ref.dag_id):
            return RESTS
        asks = policy.always_ask or declared == "ask" or (policy.mode == "ask" and declared != "auto")
        return ASKS if asks else READY

    def _resting(self, storm: Storm) -> set[str]:
        """DAGs of members of which nothing is repaired for a while; of backfills only where one was met."""
        found = resting(self.store, self.judgement.policy, self.store.storms.dags(storm))
        return found | {dag_id for dag_id in self.store.storms.guarded_dags(storm) if self.judgement.has_backfill(self.api, dag_id)}

    def _release(self, storm: Storm, progress: Progress) -> None:
        policy = self.judgement.policy
        wave = int(policy.storms.first_wave * policy.storms.growth ** min(storm.wave, 40))
        budget = hourly(policy.budgets, in_wave=True)
        size = min(wave, budget.most - self.store.guards.used([budget])[budget.name].amount)
        if progress.is_over:
            self._close(storm, progress)
        elif not budget.most:
            self._hand_over(storm, f"the members cannot follow: budgets.{budget.name} is 0")
        elif size > 0:
            asking = not progress.asked and not self._silence(self.store.storms.dags(storm))
            said = f"wave {storm.wave + 1}: at most {size} members follow"
            self.store.storms.release(storm, size, asking, said, self._resting(storm))

    def _failed(self, storm: Storm, detail: str) -> None:
        policy = self.judgement.policy
        if storm.probes >= policy.storms.most_probes:
            self._hand_over(storm, f"{storm.probes} probes were not enough: {detail}")
            return
        rule = policy.categories.get(storm.category)
        first = max(policy.storms.wait_seconds, rule.wait_seconds if rule else 0)
        wait = min(int(first * policy.after_failure.wait_factor ** min(storm.probes - 1, 40)), LONGEST_WAIT)
        self.store.storms.move(storm, StormState.WAITING, f"{detail}; the next probe comes in {wait} s", wait)

    def _hand_over(self, storm: Storm, detail: str) -> None:
        """Tell people once, and let the question about one more probe be the only one."""
        found = None if _is_early(storm) else self._candidate(storm)[1]
        if found is None and storm.held:
            return  # it waits, or another worker looks at its members
        if not self._told(storm, Occasion.HANDED_OVER, detail):
            return
        if found:
            self.store.storms.probe(storm, found.id, StormState.ESCALATED, detail)
        else:
            self.store.storms.move(storm, StormState.ESCALATED, detail, PACE)

    def _close(self, storm: Storm, progress: Progress) -> None:
        detail = f"over: {storm.members - progress.left} of {storm.members} members have ended, {progress.left} are left to people"
        if not progress.left or self._told(storm, Occasion.LEFT, detail):
            self.store.storms.move(storm, StormState.CLOSED, detail)

    def _told(self, storm: Storm, occasion: Occasion, detail: str) -> bool:
        """Have people told, or have the storm wait until they may be told; done twice, they are told once."""
        if _is_early(storm):
            return False
        until = self._silence(self.store.storms.dags(storm))
        if until:
            when = f"{detail}; people are told when it is {until:%Y-%m-%d %H:%M} UTC, after quiet hours or maintenance"
            self.store.storms.move(storm, storm.state, when, seconds_until(until))
            return False
        tell_of_storm(self.store, self.api, self.judgement.policy, storm, occasion, detail)
        return True

    def _silence(self, dag_ids: list[str]) -> datetime | None:
        return silence(self.judgement.policy, self.api, dag_ids)


def _with(judged: Judged, verdict: Verdict, reason: str, **changes: object) -> Decision:
    return replace(judged.decision, verdict=verdict, reasons=(reason, *judged.decision.reasons), **changes)  # type: ignore[arg-type]


def _asked(judged: Judged, reason: str) -> Judged:
    decision = _with(judged, Verdict.ASK, f"{reason}; {judged.decision.reasons[0]}")
    return judged._replace(decision=decision, state=State.ASKED, due_in=0)


def _is_early(storm: Storm) -> bool:
    return storm.due_at is not None and storm.due_at > now()


def _is_repair(outcome: Outcome) -> bool:
    return outcome.action_id is not None and outcome.kind is OutcomeKind.SUCCESS


def _is_done_with(storm: Storm, probe: Incident) -> bool:
    """Whether nothing more comes of the probe, and it is not a person's either."""
    return probe.state is State.HELD or probe.storm_id != storm.id or not probe.is_open


def _approved(judged: Judged, by: str) -> Judged:
    """A person's word spares the others a question, and no guard."""
    if judged.hold:
        decision = held_by(judged.hold, judged.decision)
        return judged._replace(decision=decision, state=State.DIAGNOSED, due_in=decision.wait_seconds, attempts=0)
    wait = judged.decision.wait_seconds
    decision = _with(judged, Verdict.WAIT if wait else Verdict.AUTO, f"Approved with its storm by {by}.")
    return judged._replace(decision=decision, state=State.WAITING if wait else State.ACTING, due_in=wait)


def _left(judged: Judged, reason: str) -> Judged:
    """A person's: its task instance's note says so. The storm's message tells of all of them."""
    nothing = {"action": ActionKind.ESCALATE, "parameters": {}, "wait_seconds": 0}
    decision = _with(judged, Verdict.ESCALATE, f"Left to people with its storm: {reason}", **nothing)
    return judged._replace(decision=decision, state=State.ACTING, due_in=0, attempts=0, limits=(), hold=None)
