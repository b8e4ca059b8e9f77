"""People with phones, and a clock that the test moves on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any, ClassVar

from airflow.sdk import BaseNotifier
from tests.clocks import MovedClock
from tests.tick.scene import POLICY, Scene

from airflow_oncall.act.policy import Policy
from airflow_oncall.store.notices import Notice, Occasion

PHONE = f"{__name__}.Phone"


class Phone(BaseNotifier):
    """Keeps what it was told, unless it is out of order."""

    template_fields = ("text",)
    heard: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    """Whose phone it is, and what ``oncall`` was."""
    raising: ClassVar[set[str]] = set()
    """Owners, or keys of messages, for which it raises."""
    hanging: ClassVar[set[str]] = set()
    tried: ClassVar[list[str]] = []
    hung_up: ClassVar[Event] = Event()

    def __init__(self, owner: str = "ann", text: str = "{{ oncall.subject }}") -> None:
        super().__init__()
        self.owner, self.text = owner, text

    def notify(self, context: Any) -> None:
        oncall = context["oncall"]
        self.tried.append(self.owner)
        if self.owner in self.hanging:
            self.hung_up.wait()
            return
        if {self.owner, oncall["key"]} & self.raising:
            raise ConnectionError("token=hunter22 refused")
        self.heard.append((self.owner, {**oncall, "text": self.text}))


@contextmanager
def phones() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """New phones; those that hang are hung up at the end."""
    for kept in (Phone.heard, Phone.raising, Phone.hanging, Phone.tried):
        kept.clear()
    Phone.hung_up.clear()
    yield Phone.heard
    Phone.hung_up.set()


def phone(owner: str = "ann", **more: Any) -> dict[str, Any]:
    """A line of a route."""
    return {"classpath": PHONE, "kwargs": {"owner": owner}, **more}


def policy_with(*lines: Mapping[str, Any], **parts: Any) -> Policy:
    """The stage's policy with this default route."""
    return Policy.model_validate(POLICY.model_dump(exclude_unset=True) | {"routes": {"default": list(lines)}} | parts)


def pass_time(scene: Scene, clock: MovedClock, minutes: float) -> None:
    """So many minutes later, a tick."""
    clock.forward(minutes=minutes)
    scene.tick()


def notice_for(scene: Scene, place: str = "routes.default.0", after: int = 0) -> Notice:
    """A notice about the only incident, as an escalation makes it."""
    incident = scene.incident
    return Notice(incident.id, incident.decisions, Occasion.ESCALATED, place, incident.detail, after=after)
