"""Tell people what is due: the one place from which messages go.

    outbox ── nothing to tell any more ──────────────> dropped; told, where nobody knows whether a message went
       │───── quiet hours or maintenance ────────────> later; later steps wait their time anew from there
       │───── more than the hour's limit allows ─────> the last message that it allows sums them up
       └───── sent ─┬─ taken ────────────────────────> told
                    └─ raised, or gave no answer ────> again, each time later; a notifier that keeps failing rests

Only the worker that holds the lease of a notifier sends through it, and each message is recorded right after it was
taken: killed in between, it is told again, with the same key and message id; or, where there is nothing to tell any more, its end is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from airflow_oncall.act.hours import silent_until
from airflow_oncall.act.notify.answered import answered, runs_again
from airflow_oncall.act.notify.message import digest, facts_of
from airflow_oncall.act.notify.quiet import critical_dags, spared
from airflow_oncall.act.notify.sending import NOTIFIER_SECONDS, Message, SendResult, send_all
from airflow_oncall.act.notify.templates import with_texts
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.routes import Target, target_at
from airflow_oncall.errors import AirflowApiError, BadSetting
from airflow_oncall.rest import AirflowApi
from airflow_oncall.store.notices import Notice, Occasion
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=3 * NOTIFIER_SECONDS)
"""Renewed with every message; longer than one may take."""
MOST_SECONDS = 60.0
"""After this a tick begins no message any more: what is left is the next tick's."""
AT_ONCE = 500
"""Notices of one notifier that a tick looks at; so many of what is over, too."""
ASKING_SECONDS = 20.0
"""After this Airflow is asked no more in a delivery: with the last call, and what the client repeats of it, less than the lease."""
AIRFLOW_BUSY = timedelta(minutes=1)
Answer = TypeVar("Answer")


def deliver(store: Store, api: AirflowApi, policy: Policy) -> None:
    """Send everything that is due, as far as it may go now. Raises nothing of the notifiers' making."""
    store.notices.finish()
    places = store.notices.places_due()
    if places:
        _Round(store, api, policy).run(places)


class _Round:
    """One delivery."""

    def __init__(self, store: Store, api: AirflowApi, policy: Policy) -> None:
        self.store, self.api, self.policy = store, api, policy
        self._asks_until = time.monotonic() + ASKING_SECONDS
        self._unsent: dict[str, Iterator[Message]] = {}

    def run(self, places: Sequence[str]) -> None:
        leased = [place for place in places if self._lease(place)]
        try:
            planned = [(target, messages) for place in leased for target, messages in self._plan(place)]
            mine = [(target, messages) for target, messages in planned if self._lease(target.place)]
            self._unsent = {target.place: iter(messages) for target, messages in mine}
            for target, _ in mine:
                self._begin(target.place)
            for result in send_all(mine, MOST_SECONDS):
                self._record(result)
        finally:
            for place in leased:
                self.store.leases.release(_lease_name(place), self.store.queue.worker)

    def _lease(self, place: str) -> bool:
        return self.store.leases.take(_lease_name(place), self.store.queue.worker, LEASE)

    def _plan(self, place: str) -> list[tuple[Target, list[Message]]]:
        """The messages of one notifier; none where it has nothing to say now."""
        waiting = self.store.notices.due(place, AT_ONCE)
        try:
            target = target_at(self.policy, place)
        except BadSetting as error:  # mended, it goes on
            log.error("%s", error)
            return []
        if target is None:
            log.warning("%s notices for %s are dropped: the policy has no such notifier any more", len(waiting), place)
            self.store.notices.drop([notice.id for notice in waiting])
            return []
        self.store.notices.drop([notice.id for notice in waiting if not target.hears(notice.occasion)])
        messages = self._messages(place, [notice for notice in waiting if target.hears(notice.occasion) and self._may_go(notice)])
        return [(target, messages)] if messages else []

    def _may_go(self, notice: Notice) -> bool:
        """Whether it is to be told now; if not, it is dropped or told later."""
        try:
            if answered(self.store, partial(self._ask, runs_again, self.api), notice):
                self.store.notices.drop([notice.id])
                return False
            until = silent_until(self.policy, self._dags(notice), self._spared, now())
        except AirflowApiError:
            self.store.notices.tell_later([notice.id], now() + AIRFLOW_BUSY)
            return False
        if until:
            self.store.notices.begin_later(notice, until)
        return until is None

    @cached_property
    def _spared(self) -> Collection[str]:
        return spared(self.policy, partial(self._ask, critical_dags, self.api))

    def _ask(self, question: Callable[..., Answer], *of: Any) -> Answer:
        """What Airflow says. Raises ``AirflowApiError``, and asks nothing, once it gave no answer or its time is over."""
        if time.monotonic() >= self._asks_until:
            raise AirflowApiError("Airflow is asked again with the next delivery")
        try:
            return question(*of)
        except AirflowApiError as error:
            log.warning("people are told later of what Airflow has to be asked about: %s", error)
            if error.transient:
                self._asks_until = 0.0
            raise

    def _dags(self, notice: Notice) -> list[str]:
        storm = self.store.storms.get(notice.storm_id) if notice.storm_id else None
        incident = self.store.reading.incident(notice.incident_id)
        return self.store.storms.dags(storm) if storm else [incident.ref.dag_id] if incident else []

    def _messages(self, place: str, ready: Sequence[Notice]) -> list[Message]:
        """One a notice while the hour has room for all of them; else the last one sums up those that have no room of their own.

        What is over goes first and is never summed up: a pager has to hear it of each. It waits where there is no room.
        """
        most = self.policy.notifications.per_hour
        room = most - self.store.notices.told_since(place, now() - timedelta(hours=1))
        if ready and room <= 0:
            log.warning("%s: %s messages wait, %s went in the last hour", place, len(ready), most)
            return []
        ready = sorted(ready, key=lambda one: one.occasion is not Occasion.RESOLVED)
        beyond = ready[room - 1 :] if len(ready) > room else []
        rest = [one for one in beyond if one.occasion is not Occasion.RESOLVED]
        alone = ready[: room - 1] if rest else ready[:room]
        messages = [Message([notice], with_texts(facts)) for notice, facts in self._facts(alone)]
        summed_up = list(self._facts(rest))
        if summed_up:
            noticed, found = zip(*summed_up, strict=True)
            messages.append(Message(noticed, with_texts(digest(found, noticed[0]))))
        return messages

    def _facts(self, ready: Sequence[Notice]) -> Iterator[tuple[Notice, dict[str, Any]]]:
        """What is told of each; of an incident that was purged since it was asked about, nothing is, and its notices went with it."""
        for notice in ready:
            facts = facts_of(self.store, self.api.base_url, notice)
            if facts:
                yield notice, facts

    def _record(self, result: SendResult) -> None:
        if result.problem:
            self.store.notices.failed(result.message.notices, result.problem, hung=result.hung)
        else:
            self.store.notices.told(result.message.notices)
            self._begin(result.target.place)
        self._lease(result.target.place)

    def _begin(self, place: str) -> None:
        """Write down which message is this notifier's next, before it is sent."""
        message = next(self._unsent[place], None)
        if message:
            self.store.notices.begin(message.notices)


def _lease_name(place: str) -> str:
    return f"notifier:{place}"
