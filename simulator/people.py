"""People who work from Monday to Friday: they answer questions, mend what only a person can mend, and repair what is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from airflow_oncall import conf
from airflow_oncall.act import approval
from airflow_oncall.incident import Incident, State
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.sql import Store
from simulator.course import Course, Story

OPENS, CLOSES = 8, 18
"""Office hours, UTC."""
RIGHT = 0.9
"""Chance that a person who is asked knows whether a re-run helps."""
ANSWERS_AFTER = timedelta(minutes=20)
"""Working time until a question is answered."""
LOOKS_AGAIN = timedelta(minutes=30)
PATIENCE = timedelta(hours=4)
"""How long a person lets triage try before acting anyway."""
THEIRS = (State.ESCALATED, State.OBSERVED)


def working_time(start: datetime, minutes: float) -> datetime:
    """When so many minutes of work are done."""
    at, left = start, timedelta(minutes=minutes)
    while True:
        opens = at.replace(hour=OPENS, minute=0, second=0, microsecond=0)
        closes = at.replace(hour=CLOSES, minute=0, second=0, microsecond=0)
        at = max(at, opens)
        if at.weekday() < 5 and at < closes:
            if at + left <= closes:
                return at + left
            left -= closes - at
        at = opens + timedelta(days=1)


class People:
    """Those who are told and asked."""

    def __init__(self, course: Course, store: Store, api: AirflowApi, seed: int) -> None:
        self._course, self._store, self._api = course, store, api
        self._dice = random.Random(seed)
        self._questions_seen = 0
        self.answered = 0
        course.on_final_failure = self._told

    def notice_questions(self) -> None:
        """Questions that triage has asked since the last look; each is answered at work, or by nobody in time."""
        asked = self._course.airflow.did("trigger")
        fresh, self._questions_seen = asked[self._questions_seen :], len(asked)
        for mutation in fresh:
            if mutation.path.startswith("oncall_approval/"):
                question = mutation.body["conf"]
                self._expect(int(question["incident_id"]), int(question["number"]))

    def _expect(self, incident_id: int, number: int) -> None:
        course = self._course
        at = working_time(course.clock.at, ANSWERS_AFTER.total_seconds() / 60)
        ends = course.clock.at + timedelta(seconds=conf.approval_timeout())
        if at < ends:
            course.at(at, lambda: self._answer(incident_id, number))
        else:
            course.at(ends, lambda: self._say(incident_id, number, None))

    def _answer(self, incident_id: int, number: int) -> None:
        incident = self._store.reading.incident(incident_id)
        story = self._course.stories.get(incident.ref) if incident else None
        if incident is None or story is None or incident.state is not State.ASKED:
            return
        helps = not story.plan.by_hand and story.plan.trouble.is_repairable(self._course.clock.at)
        chosen = approval.APPROVE if (self._dice.random() < RIGHT) == helps else approval.REJECT
        self.answered += 1
        self._say(incident_id, number, chosen)

    def _say(self, incident_id: int, number: int, chosen: str | None) -> None:
        response = {"chosen_options": [chosen], "responded_by_user": {"id": "ann", "name": "ann"}} if chosen else None
        approval.answer(self._store, self._api, incident_id, number, response)
        self._course.notice_clears()

    def _told(self, story: Story) -> None:
        if not story.plan.by_hand:
            self._course.at(working_time(self._course.clock.at, story.plan.reaction_minutes), lambda: self._look_at(story))

    def _look_at(self, story: Story) -> None:
        """Somebody who saw the failed run in Airflow's UI finds out whether it is theirs."""
        if story.succeeded:
            return
        now = self._course.clock.at
        incident = next(self._open(story), None)
        waited = story.failed_at is not None and now - story.failed_at > PATIENCE
        if self._course.state_of(story) == "failed" and (incident is None or incident.state in THEIRS or waited):
            self._course.mend_and_clear(story)
        else:
            self._course.at(working_time(now, LOOKS_AGAIN.total_seconds() / 60), lambda: self._look_at(story))

    def _open(self, story: Story) -> Iterator[Incident]:
        return (one for one in self._store.reading.incidents(dag_id=story.plan.ref.dag_id) if one.ref == story.plan.ref and one.is_open)
