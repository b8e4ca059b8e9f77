"""A notifier of somebody else's that speaks HTTP, to a real server."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from tests.act.notify.chat import ChatServer
from tests.act.notify.stage import pass_time, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import BUG, ORDERS, Scene

from airflow_oncall.act.notify import sending


class Webhook(BaseNotifier):
    """Posts a template, as chat systems take it."""

    template_fields = ("url", "payload")

    def __init__(self, url: str, payload: dict[str, str]) -> None:
        super().__init__()
        self.url, self.payload = url, payload

    def notify(self, context: Any) -> None:
        sent = urllib.request.Request(self.url, json.dumps(self.payload).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(sent) as answer:
            answer.read()


@pytest.fixture
def chatting(failed: Scene, clock: MovedClock, chat: ChatServer) -> Scene:
    """The nightly orders have a bug, and a chat is told."""
    failed.brain.says = BUG
    payload = {"text": "{{ oncall.mrkdwn }}", "dedup_key": "{{ oncall.key }}", "event_action": "{{ oncall.action }}"}
    failed.policy = policy_with({"classpath": f"{__name__}.Webhook", "kwargs": {"url": chat.url, "payload": payload}})
    return failed


def test_a_webhook_gets_the_fields_that_its_templates_name(chatting: Scene, chat: ChatServer) -> None:
    chatting.tick()
    chatting.airflow.mark(ORDERS, "success")
    chatting.ticks(2)
    assert [(post["dedup_key"], post["event_action"]) for post in chat.posted] == [("oncall-1", "trigger"), ("oncall-1", "resolve")]
    assert "a re-run does not mend it" in chat.posted[0]["text"]


def test_an_error_of_the_server_is_tried_again(chatting: Scene, chat: ChatServer, clock: MovedClock) -> None:
    chat.status = 503
    chatting.tick()
    assert "Webhook failed with HTTPError" in chatting.incident.detail
    chat.status = 200
    pass_time(chatting, clock, 2)
    pass_time(chatting, clock, 20)
    assert len(chat.posted) == 1


def test_a_server_that_never_answers_holds_no_tick_up(
    chatting: Scene, chat: ChatServer, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.silent = True
    with monkeypatch.context() as impatient:
        impatient.setattr(sending, "NOTIFIER_SECONDS", 0.2)
        chatting.tick()
    assert "Webhook gave no answer" in chatting.incident.detail
    chat.silent = False
    pass_time(chatting, clock, 5)
    assert len(chat.posted) == 1
