"""Send through notifiers, which are other people's code: it may raise anything, hang, or be missing.

Each notifier has a thread of its own, which is left behind when it hangs. The text of its errors may hold what it signs
in with: that goes to the log, which Airflow masks, and not into the store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

from airflow_oncall.act.routes import SMTP, Target
from airflow_oncall.aside import aside, raised
from airflow_oncall.errors import BadSetting
from airflow_oncall.store.notices import Notice

log = logging.getLogger(__name__)

NOTIFIER_SECONDS = 30.0
"""Longest that one message may take."""


class Message(NamedTuple):
    """What one notifier is to say, and which notices it tells of."""

    notices: Sequence[Notice]
    oncall: Mapping[str, Any]


class SendResult(NamedTuple):
    """How a message went; ``problem`` is empty where it was taken."""

    target: Target
    message: Message
    problem: str
    hung: bool = False


def load(target: Target) -> Any:
    """Make a notifier. Raises ``BadSetting`` when it cannot be made."""
    from airflow.sdk import BaseNotifier
    from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

    place, classpath = target.place, target.classpath
    try:
        notifier = import_string(classpath)(**target.kwargs)
    except ImportError as error:
        hint = "; e-mail needs `pip install apache-airflow-providers-smtp`" if classpath == SMTP else ""
        raise BadSetting(f"{place}: {classpath!r} cannot be made: {error}{hint}") from error
    except TypeError as error:
        raise BadSetting(f"{place}: {classpath!r} cannot be made: {error}") from error
    except ValueError as error:  # without its text, which may hold what the notifier signs in with
        raise BadSetting(f"{place}: {classpath!r} does not take its kwargs; check their values") from error
    if not isinstance(notifier, BaseNotifier):
        raise BadSetting(f"{place}: {classpath!r} is no BaseNotifier")
    return notifier


def send(target: Target, oncall: Mapping[str, Any]) -> None:
    """Send one message; whatever the notifier raises is raised."""
    load(target)({"oncall": dict(oncall)})


def problem_of(target: Target, error: BaseException) -> str:
    """What people read of an error."""
    if isinstance(error, BadSetting):
        return str(error)
    return f"notifier {target.classpath} failed with {type(error).__name__}, see this task's log"


def without_answer(target: Target) -> str:
    """What people read of a notifier that hangs."""
    return f"notifier {target.classpath} gave no answer in {NOTIFIER_SECONDS:.0f} s"


def send_all(planned: Sequence[tuple[Target, Sequence[Message]]], seconds: float) -> Iterator[SendResult]:
    """Send what is planned, all notifiers at once, and say of each message how it went, as soon as that is known.

    A notifier begins its next message when whoever asked for results has dealt with the one before: killed at any time,
    at most one message of each went that nobody knows of. One that failed or hung is asked for no more. After
    ``seconds`` no message is begun.
    """
    results: SimpleQueue[SendResult | Lane] = SimpleQueue()
    lanes = {target.place: Lane(target, messages, results) for target, messages in planned}
    ends_at = time.monotonic() + seconds
    for lane in lanes.values():
        lane.start()
    try:
        while lanes:
            news = _news(lanes, results)
            place = news.target.place
            if place not in lanes:  # it was left behind, and answered after all
                continue
            if isinstance(news, SendResult):
                yield news
                lanes[place].go_on.set()
            if isinstance(news, Lane) or news.hung:
                del lanes[place]
            if time.monotonic() > ends_at:
                _leave(lanes)
    finally:
        _leave(lanes)


def _news(lanes: Mapping[str, Lane], results: SimpleQueue[SendResult | Lane]) -> SendResult | Lane:
    """The next result, or the lane that has ended; a notifier that is silent for too long is left behind."""
    while True:
        slowest = min(lanes.values(), key=lambda lane: lane.patience)
        try:
            return results.get(timeout=min(max(0.0, slowest.patience - time.monotonic()), NOTIFIER_SECONDS))
        except Empty:
            if slowest.patience <= time.monotonic():  # else it has begun another message meanwhile
                return slowest.abandon()


def _leave(lanes: Mapping[str, Lane]) -> None:
    for lane in lanes.values():
        lane.leave()


class Lane(Thread):
    """One notifier and its messages, one after the other. Nobody waits for it at the end of the process."""

    def __init__(self, target: Target, messages: Sequence[Message], results: SimpleQueue[SendResult | Lane]) -> None:
        super().__init__(name=f"oncall-{target.place}", daemon=True)
        self.target, self._left, self.go_on = target, Event(), Event()
        self._messages, self._results = messages, results
        self._now = messages[0]
        self.patience = time.monotonic() + NOTIFIER_SECONDS

    def run(self) -> None:
        """Send until one fails, or nobody waits any more."""
        for message in self._messages:
            if self._left.is_set():
                break
            self._now, self.patience = message, time.monotonic() + NOTIFIER_SECONDS
            error = raised(lambda message=message: send(self.target, message.oncall))  # type: ignore[misc]
            if error is not None:
                log.warning("%s", problem_of(self.target, error), exc_info=None if isinstance(error, BadSetting) else error)
            self.patience = inf
            self._results.put(SendResult(self.target, message, problem_of(self.target, error) if error else ""))
            if error is not None:
                break
            self.go_on.wait()
            self.go_on.clear()
        self._results.put(self)

    def leave(self) -> None:
        """Begin no message any more."""
        self._left.set()
        self.go_on.set()

    def abandon(self) -> SendResult:
        """Leave it behind: what it is at hangs."""
        self.leave()
        return SendResult(self.target, self._now, without_answer(self.target), hung=True)


def problem_with(target: Target, call: Callable[[], object]) -> str:
    """What people read of a call that the notifier's code gets; empty where it returns in :data:`NOTIFIER_SECONDS`."""
    try:
        error, _ = aside(call, NOTIFIER_SECONDS, f"oncall-{target.place}")
    except TimeoutError:
        return without_answer(target)
    return problem_of(target, error) if error else ""
