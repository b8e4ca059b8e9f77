"""The weekly report goes to whom the policy names, once, and pages nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import BaseNotifier
from tests.reports.conftest import SHIPPED

from airflow_oncall.act.policy import Policy
from airflow_oncall.act.routes import SMTP
from airflow_oncall.reports import weekly
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store


class Postman(BaseNotifier):
    """Keeps what it is told; one that is ``broken`` takes nothing."""

    told: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 - shared by all that Airflow makes
    pages: list[str] = []  # noqa: RUF012 - what was in the file
    broken: set[str] = set()  # noqa: RUF012

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def notify(self, context: Any) -> None:
        """Take it."""
        if self.name in Postman.broken:
            raise RuntimeError("no route to host, token hunter22")
        Postman.told.append((self.name, context["oncall"]))
        Postman.pages.append(Path(context["oncall"]["file"]).read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def postmen() -> Iterator[None]:
    """None has been told anything, none is broken."""
    for kept in (Postman.told, Postman.pages, Postman.broken):
        kept.clear()
    yield
    Postman.broken.clear()


@pytest.fixture
def to(routes: Callable[..., None]) -> Any:
    """Writes a policy whose route ``report`` has notifiers of these names."""

    def write(*names: str, route: str = "report") -> None:
        routes(**{route: [{"classpath": f"{Postman.__module__}.Postman", "kwargs": {"name": name}} for name in names]})

    return write


def told() -> list[str]:
    return [name for name, _ in Postman.told]


def test_everyone_on_the_route_gets_it_in_short_and_the_page_as_a_file(week: Store, to: Any) -> None:
    to("ada", "olga")
    assert weekly.send_weekly(week) == ["routes.report.0", "routes.report.1"]
    assert told() == ["ada", "olga"]
    message = Postman.told[0][1]
    assert message["subject"] == "Airflow on-call: 5 incidents in a week, 80% of 5 repairs helped"
    assert message["body"].startswith(message["subject"])
    assert "<svg" not in message["html"]
    assert all("<svg" in page for page in Postman.pages)
    assert not Path(message["file"]).exists(), "nothing is left behind"
    assert message["severity"] == "low"


def test_it_is_sent_once_a_week(week: Store, to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    to("ada")
    weekly.send_weekly(week)
    assert weekly.send_weekly(week) == []
    later = now() + timedelta(days=7)
    monkeypatch.setattr(weekly, "now", lambda: later)
    weekly.send_weekly(week)
    assert told() == ["ada", "ada"]


def test_after_a_failure_only_the_one_that_failed_is_asked_again(week: Store, to: Any) -> None:
    to("ada", "olga")
    Postman.broken.add("ada")
    with pytest.raises(weekly.ReportNotSent, match=r"routes\.report\.0: .* failed with RuntimeError") as raised:
        weekly.send_weekly(week)
    assert "hunter22" not in str(raised.value)
    Postman.broken.clear()
    assert weekly.send_weekly(week) == ["routes.report.0"]
    assert told() == ["olga", "ada"]


def test_without_a_route_of_its_own_only_mail_is_sent(week: Store, to: Any) -> None:
    to("pager", route="default")
    assert weekly.send_weekly(week) == []
    assert told() == []


def test_mail_of_the_default_route_carries_the_report() -> None:
    notifiers = [{"classpath": SMTP, "kwargs": {"to": "ada@example.com"}}, {"classpath": "some.Pager"}]
    policy = Policy.model_validate(yaml.safe_load(SHIPPED) | {"routes": {"default": notifiers}})
    assert [target.place for target in weekly.report_targets(policy)] == ["routes.default.0"]
