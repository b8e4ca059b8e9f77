"""The weekly report as a mail server gets it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from email.message import Message
from pathlib import Path

import pytest
from tests.act.notify.chat import ChatServer
from tests.act.notify.mailbox import Mailbox, html_of, subject_of
from tests.reports.conftest import HOSTILE
from tests.reports.test_findings import Page

from airflow_oncall.act.routes import SMTP
from airflow_oncall.reports.findings import findings
from airflow_oncall.reports.page import summary
from airflow_oncall.reports.weekly import ReportNotSent, send_weekly
from airflow_oncall.store.sql import Store

Routes = Callable[..., None]
TO_ADA = {"email": "ada@example.com"}
SUBJECT = "Airflow on-call: 5 incidents in a week, 80% of 5 repairs helped"


def attached_to(mail: Message) -> dict[str, str]:
    """The texts of the files by their names."""
    files = [part for part in mail.walk() if part.get_content_disposition() == "attachment"]
    return {str(part.get_filename()): bytes(part.get_payload(decode=True)).decode() for part in files}


def only(mailbox: Mailbox) -> Message:
    ((_, mail),) = mailbox.mails
    return mail


def assert_whole(page: str) -> None:
    """It has its plots, is of one piece, and reads in both themes."""
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    for bars in ("opened", "ended"):
        assert f'<rect class="{bars}"' in page
    assert "prefers-color-scheme: dark" in page


def test_a_mail_says_the_week_in_short(week: Store, routes: Routes, mailbox: Mailbox) -> None:
    routes(report=[TO_ADA])
    assert send_weekly(week) == ["routes.report.0"]
    ((to, mail),) = mailbox.mails
    assert (to, subject_of(mail), mail.get_content_type()) == (["ada@example.com"], SUBJECT, "multipart/mixed")
    page = Page(html_of(mail))
    for said in ("80%", "of 5", "network_timeout", "nightly.load_orders", f"{HOSTILE.dag_id}.{HOSTILE.task_id}"):
        assert said in page.text
    assert not page.tags & {"svg", "style", "script", "img"}, "what mail clients leave out, or nobody wants"


def test_a_mail_carries_the_page_with_its_plots(week: Store, routes: Routes, mailbox: Mailbox) -> None:
    routes(report=[TO_ADA])
    send_weekly(week)
    ((name, page),) = attached_to(only(mailbox)).items()
    assert name == f"airflow-oncall-{findings(week, 7).until:%Y-%m-%d}.html"
    assert_whole(page)
    assert name in Page(html_of(only(mailbox))).text, "the mail says what to open"


def test_those_who_get_mail_by_default_get_the_page_too(week: Store, routes: Routes, mailbox: Mailbox) -> None:
    routes(default=[TO_ADA])
    send_weekly(week)
    assert len(attached_to(only(mailbox))) == 1


def test_a_notifier_by_its_path_needs_no_words_of_its_own(week: Store, routes: Routes, mailbox: Mailbox) -> None:
    routes(report=[{"classpath": SMTP, "kwargs": {"to": "ada@example.com"}}])
    send_weekly(week)
    assert subject_of(only(mailbox)) == SUBJECT
    assert "Where it should become better" in html_of(only(mailbox))


def test_words_and_files_of_the_policy_stay(week: Store, routes: Routes, mailbox: Mailbox, tmp_path: Path) -> None:
    own = tmp_path / "rota.txt"
    own.write_text("Ada until Monday", encoding="utf-8")
    routes(report=[TO_ADA | {"kwargs": {"subject": "[week] {{ oncall.subject }}", "files": [str(own)]}}])
    send_weekly(week)
    assert subject_of(only(mailbox)) == f"[week] {SUBJECT}"
    attached = attached_to(only(mailbox))
    assert (len(attached), attached["rota.txt"]) == (2, "Ada until Monday")


def test_a_server_without_room_gets_it_at_the_next_try(week: Store, routes: Routes, mailbox: Mailbox) -> None:
    routes(report=[TO_ADA])
    mailbox.is_full = True
    with pytest.raises(ReportNotSent, match=r"routes\.report\.0: .*SmtpNotifier failed with SMTP"):
        send_weekly(week)
    mailbox.is_full = False
    send_weekly(week)
    assert len(attached_to(only(mailbox))) == 1


def test_a_chat_that_takes_files_is_given_the_page(week: Store, routes: Routes, chat: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = {"path": f"json://{chat.address}/"}
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "apprise", "extra": {"config": channel}}))
    words = {"title": "{{ oncall.subject }}", "body": "{{ oncall.body }}", "attach": "{{ oncall.file }}"}
    apprise = "airflow.providers.apprise.notifications.apprise.AppriseNotifier"
    routes(report=[{"classpath": apprise, "kwargs": {"apprise_conn_id": "chat", **words}}])
    send_weekly(week)
    (post,) = chat.posted
    assert post["title"] == SUBJECT
    (attached,) = post["attachments"]
    assert_whole(base64.b64decode(attached["base64"]).decode())


def test_a_week_without_failures_is_said_in_a_mail_too(store: Store) -> None:
    assert "Nothing failed in this time." in Page(summary(findings(store, 7), "week.html")).text
