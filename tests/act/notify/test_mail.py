"""E-mail through Airflow's own SMTP provider to a real mail server."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from demo.deployment import free_port
from tests.act.notify.mailbox import Mailbox, html_of, subject_of
from tests.act.notify.stage import pass_time, policy_with
from tests.clocks import MovedClock
from tests.tick.scene import BUG, ORDERS, Scene

from airflow_oncall.act.notify.sending import load
from airflow_oncall.act.routes import SMTP, targets_of_route
from airflow_oncall.errors import BadSetting
from airflow_oncall.incident import TaskRef

TO_ANN = {"email": "ann@example.com"}


@pytest.fixture
def mailed(failed: Scene, clock: MovedClock, mailbox: Mailbox) -> Scene:
    """The nightly orders have a bug, and Ann gets e-mail."""
    failed.brain.says = BUG
    failed.policy = policy_with(TO_ANN)
    return failed


def test_an_address_is_all_that_a_route_needs(mailed: Scene, mailbox: Mailbox) -> None:
    mailed.tick()
    ((to, mail),) = mailbox.mails
    assert (to, mail["From"]) == (["ann@example.com"], "airflow@example.com")
    assert subject_of(mail) == "nightly/scheduled__2026-11-21/load_orders needs you: code_error"
    assert '<a href="' in html_of(mail)
    assert "a re-run does not mend it" in html_of(mail)


def test_several_addresses_get_one_mail(mailed: Scene, mailbox: Mailbox) -> None:
    mailed.policy = policy_with({"email": ["ann@example.com", "bob@example.com"], "kwargs": {"from_email": "us@example.com"}})
    mailed.tick()
    ((to, mail),) = mailbox.mails
    assert (sorted(to), mail["From"]) == (["ann@example.com", "bob@example.com"], "us@example.com")


def test_mails_about_one_incident_are_one_thread(mailed: Scene, mailbox: Mailbox) -> None:
    mailed.tick()
    mailed.airflow.mark(ORDERS, "success")
    mailed.ticks(2)
    first, last = (mail for _, mail in mailbox.mails)
    assert subject_of(last) == "nightly/scheduled__2026-11-21/load_orders is resolved: code_error"
    assert first["References"] == last["References"] == "<oncall-1@airflow-oncall>"
    assert first["Message-ID"] != last["Message-ID"]


def test_a_server_without_room_gets_the_same_mail_again(mailed: Scene, mailbox: Mailbox, clock: MovedClock) -> None:
    mailbox.is_full = True
    mailed.tick()
    assert "SmtpNotifier failed with SMTP" in mailed.incident.detail
    mailbox.is_full = False
    pass_time(mailed, clock, 2)
    pass_time(mailed, clock, 20)
    assert len(mailbox.mails) == 1


def test_a_server_that_is_down_is_named_and_asked_again(
    mailed: Scene, mailbox: Mailbox, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{free_port()}/?disable_ssl=true&disable_tls=true&from_email=a%40b.c")
        mailed.tick()
    assert "SmtpNotifier failed with ConnectionRefusedError" in mailed.incident.detail
    pass_time(mailed, clock, 2)
    assert len(mailbox.mails) == 1


def test_hostile_text_is_shown_and_does_nothing(scene: Scene, clock: MovedClock, mailbox: Mailbox) -> None:
    attack = "<script>alert(1)</script>\x1b[31mred\x1b[0m \u202egnp.exe\u202c {{ 7*7 }} <!channel>"
    ref = TaskRef("nightly", "manual\r\nBcc: eve@example.com\r\n\r\n<img src=x onerror=alert(1)>", "load")
    scene.airflow.fail(ref)
    scene.brain.says = replace(BUG, evidence=(attack, "x" * 1_000_000))
    scene.policy = policy_with(TO_ANN)
    scene.tick()
    ((to, mail),) = mailbox.mails
    assert (to, mail["Bcc"]) == (["ann@example.com"], None)
    assert "\n" not in subject_of(mail)
    html = html_of(mail)
    assert len(html) < 10_000
    assert "&lt;script&gt;alert(1)&lt;/script&gt;red gnp.exe {{ 7*7 }}" in html
    for act in ("<script", "<img", "\x1b", "\u202e"):
        assert act not in html


def test_without_the_provider_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SMTP.rpartition(".")[0], None)
    (target,) = targets_of_route(policy_with(TO_ANN), "default")
    with pytest.raises(BadSetting, match=r"routes\.default\.0: .*SmtpNotifier.*`pip install apache-airflow-providers-smtp`"):
        load(target)
