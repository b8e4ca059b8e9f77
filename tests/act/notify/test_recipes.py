"""The notifiers that the documentation shows are those of the real providers, take what they are given, and send it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apprise
import pytest
import yaml
from airflow.providers.apprise.hooks.apprise import AppriseHook
from airflow.providers.pagerduty.hooks.pagerduty_events import prepare_event_data
from jinja2 import Environment, StrictUndefined
from pagerduty import EventsApiV2Client
from tests.act.notify.chat import ChatServer
from tests.act.notify.stage import notice_for, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import BUG, Scene

from airflow_oncall.act.notify.message import SAMPLES, facts_of
from airflow_oncall.act.notify.sending import load
from airflow_oncall.act.notify.templates import with_texts
from airflow_oncall.act.routes import Target, targets_of_route
from airflow_oncall.incident import TaskRef

DOCS = Path(__file__).parents[3] / "docs"
NOTIFICATIONS = (DOCS / "notifications.md").read_text(encoding="utf-8")
SUBJECT = "nightly/scheduled__2026-11-21/load_orders needs you: code_error"
WHY = "a re-run does not mend it"
LONG = TaskRef("nightly", "manual__" + "x" * 230, "load")
CALLING = TaskRef("nightly", "manual__<!channel>", "load")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def recipes() -> Iterator[dict[str, Any]]:
    """Every line of every route that the pages show."""
    for page in ("notifications", "policy", "reports"):
        for block in blocks((DOCS / f"{page}.md").read_text(encoding="utf-8"), "yaml"):
            shown = yaml.safe_load(block)
            routes = {"": shown} if isinstance(shown, list) else shown.get("routes", {})
            for lines in routes.values():
                yield from lines


def name_of(recipe: dict[str, Any]) -> str:
    return str(recipe.get("classpath", "email")).rpartition(".")[2]


RECIPES = list(recipes())


def recipe(name: str) -> dict[str, Any]:
    """What the recipes of the page say of this notifier."""
    _, _, page = NOTIFICATIONS.partition("\n## Recipes\n")
    (found,) = [line for block in blocks(page, "yaml") for line in yaml.safe_load(block) if name_of(line) == name]
    return dict(found)


def target_of(line: dict[str, Any]) -> Target:
    (target,) = targets_of_route(policy_with(line), "default")
    return target


@pytest.fixture
def message(bug: Scene) -> dict[str, Any]:
    """What people are told of the nightly orders."""
    bug.tick()
    facts = facts_of(bug.store, "https://airflow.example.com", notice_for(bug))
    assert facts is not None
    return with_texts(facts)


def rendered(line: dict[str, Any], message: dict[str, Any]) -> Any:
    """The notifier with its templates filled in. Raises where a template names a field that there is not."""
    notifier = load(target_of(line))
    notifier.render_template_fields({"oncall": message}, jinja_env=Environment(undefined=StrictUndefined))
    return notifier


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **connection: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


@pytest.fixture
def connected(chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """The connections that the recipes name lead to a server that listens."""
    connect(monkeypatch, "slack_oncall", conn_type="slack", password="xoxb-12345", extra={"base_url": f"http://{chat.address}/api/"})
    connect(monkeypatch, "slack_hook", conn_type="slackwebhook", password=f"http://{chat.address}/services/T0/B0/x")
    connect(monkeypatch, "opsgenie_default", conn_type="opsgenie", password="key-12345", host=f"http://{chat.address}")
    connect(monkeypatch, "teams", conn_type="apprise", extra={"config": {"path": f"json://{chat.address}/teams"}})
    return chat


def tell(scene: Scene, name: str, ref: TaskRef | None = None) -> None:
    """The recipe's notifier is told of a bug in the nightly orders, or in another task instance."""
    if ref:
        scene.airflow.fail(ref)
    scene.brain.says = BUG
    scene.policy = policy_with(recipe(name))
    scene.tick()


@pytest.mark.parametrize("line", RECIPES, ids=name_of)
def test_each_recipe_is_a_notifier_that_fills_its_templates_in(line: dict[str, Any], message: dict[str, Any]) -> None:
    notifier = rendered(line, message)
    said = {name: getattr(notifier, name) for name in target_of(line).kwargs}
    assert "{{" not in str(said), "a field that the provider does not fill in"
    assert message["subject"] in str(said)


@pytest.mark.parametrize("facts", SAMPLES, ids=lambda facts: str(facts["status"]))
def test_each_recipe_knows_every_kind_of_message(facts: dict[str, Any]) -> None:
    for line in RECIPES:
        rendered(line, with_texts(facts))


def test_slack_is_told_in_its_channel(failed: Scene, clock: MovedClock, connected: ChatServer) -> None:
    tell(failed, "SlackNotifier")
    (post,) = connected.posted
    assert (connected.paths, post["channel"]) == (["/api/chat.postMessage"], "#oncall")
    assert post["text"].startswith(f"*{SUBJECT}*\n")
    assert WHY in post["text"]


def test_a_slack_webhook_is_told_which_task_it_is_about(failed: Scene, clock: MovedClock, connected: ChatServer) -> None:
    tell(failed, "SlackWebhookNotifier")
    (post,) = connected.posted
    assert connected.paths == ["/services/T0/B0/x"]
    assert post["text"].startswith(f"*{SUBJECT}*\n")
    assert WHY in post["text"]


@pytest.mark.parametrize("name", ["SlackNotifier", "SlackWebhookNotifier"])
def test_a_name_calls_nobody_in_slack(scene: Scene, clock: MovedClock, connected: ChatServer, name: str) -> None:
    tell(scene, name, CALLING)
    assert "<!channel>" not in connected.posted[0]["text"]
    assert "manual__&lt;!channel&gt;" in connected.posted[0]["text"]


def test_opsgenie_opens_an_alert_of_the_incident(failed: Scene, clock: MovedClock, connected: ChatServer) -> None:
    tell(failed, "OpsgenieNotifier")
    (post,) = connected.posted
    assert (connected.paths, post["message"], post["alias"]) == (["/v2/alerts"], SUBJECT, "oncall-1")
    assert WHY in post["description"]


def test_opsgenie_is_given_no_longer_message_than_it_takes(scene: Scene, clock: MovedClock, connected: ChatServer) -> None:
    tell(scene, "OpsgenieNotifier", LONG)
    assert len(connected.posted[0]["message"]) == 130


def test_apprise_sends_what_its_connection_leads_to(failed: Scene, clock: MovedClock, connected: ChatServer) -> None:
    tell(failed, "AppriseNotifier")
    (post,) = connected.posted
    assert (connected.paths, post["title"]) == (["/teams"], SUBJECT)
    assert WHY in post["message"]


def test_apprise_keeps_a_refusal_to_itself_as_its_recipe_says(failed: Scene, clock: MovedClock, connected: ChatServer) -> None:
    connected.status = 503
    tell(failed, "AppriseNotifier")
    assert "failed with" not in failed.incident.detail
    assert "Apprise's notifier does not raise" in NOTIFICATIONS


def test_the_address_of_a_teams_workflow_is_one_that_apprise_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = blocks(NOTIFICATIONS, "json")
    connect(monkeypatch, "teams", conn_type="apprise", extra=json.loads(shown))
    hook, channels = AppriseHook("teams"), apprise.Apprise()
    hook.set_config_from_conn(hook.get_connection("teams"), channels)
    assert [type(channel).__name__ for channel in channels] == ["NotifyWorkflows"]


@pytest.mark.parametrize(("facts", "action"), [(SAMPLES[1], "trigger"), (SAMPLES[2], "resolve")])
def test_pagerduty_is_given_an_event_that_its_client_takes(facts: dict[str, Any], action: str) -> None:
    """Its client knows one address only, so that nothing is sent here."""
    notifier = rendered(recipe("PagerdutyNotifier"), with_texts(facts))
    fields = [name for name in inspect.signature(prepare_event_data).parameters if hasattr(notifier, name)]
    event = prepare_event_data(**{name: getattr(notifier, name) for name in fields})
    taken = inspect.signature(EventsApiV2Client.send_event).bind(None, **event).arguments
    assert (taken["action"], taken["dedup_key"]) == (action, "oncall-1")
    assert event["payload"]["severity"] in {"info", "warning", "error", "critical"}
    assert "Mode ask." in event["payload"]["custom_details"]["why"]
