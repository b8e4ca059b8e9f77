"""The weekly report by mail: to the route ``report`` of the policy, else to those of the default route that are told by e-mail.

A mail says it in short and has the page attached: mail clients show no plots, and each has colours of its own.
A pager or a chat gets none unless the route ``report`` names it: a report is no alarm.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow_oncall.act.notify.message import EMPTY
from airflow_oncall.act.notify.sending import problem_with, send
from airflow_oncall.act.notify.templates import plain_texts
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.act.routes import MAIL, SMTP, Target, default_route, targets_of_route
from airflow_oncall.errors import OnCallError
from airflow_oncall.reports.findings import Findings, findings
from airflow_oncall.reports.page import html, summary
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

ROUTE = "report"
SENT = "weekly_report"
"""Cursor: when it was last sent, by the place of each notifier."""
DAYS = 7
EVERY = timedelta(days=6)
"""Trainings that begin early do not send another."""


class ReportNotSent(OnCallError):
    """Some notifiers did not take it; called again, only those are asked."""


def send_weekly(store: Store) -> list[str]:
    """Send the report of the last week, once a week to each; the places it was sent to. Raises :class:`ReportNotSent`."""
    sent: dict[str, str] = store.cursors.get(SENT) or {}
    due = [one for one in report_targets(read_policy(store)) if _is_due(sent.get(one.place))]
    if not due:
        return []
    problems, found = {}, findings(store, DAYS)
    with TemporaryDirectory() as folder:
        oncall = _message(found, _page(found, Path(folder)))
        for target in due:
            if problem := problem_with(target, partial(send, _with_page(target), oncall)):
                problems[target.place] = problem
            else:
                sent = sent | {target.place: now().isoformat()}
                store.cursors.set(SENT, sent)
    if problems:
        raise ReportNotSent("; ".join(f"{place}: {problem}" for place, problem in problems.items()))
    return [one.place for one in due]


def report_targets(policy: Policy) -> list[Target]:
    """Who gets the report. Raises ``BadSetting`` where the settings are asked and wrong."""
    if ROUTE in policy.routes:
        return targets_of_route(policy, ROUTE)
    return [one for one in targets_of_route(policy, default_route(policy)) if one.classpath == SMTP]


def _is_due(last: str | None) -> bool:
    return last is None or now() - datetime.fromisoformat(last) >= EVERY


def _page(found: Findings, folder: Path) -> Path:
    page = folder / f"airflow-oncall-{found.until:%Y-%m-%d}.html"
    page.write_text(html(found), encoding="utf-8")
    return page


def _with_page(target: Target) -> Target:
    """E-mail gets our words, unless the policy has others, and the page beside the files that the policy names."""
    if target.classpath != SMTP:
        return target
    files = [*(target.kwargs.get("files") or ()), "{{ oncall.file }}"]
    return target._replace(kwargs={**MAIL, **target.kwargs, "files": files})


def _message(found: Findings, page: Path) -> dict[str, Any]:
    helped = "" if found.repair_rate is None else f", {found.repair_rate:.0%} of {found.repairs} repairs helped"
    title = f"Airflow on-call: {found.opened} incidents in a week{helped}"
    key = f"oncall-report-{found.until:%Y%m%d}"
    text = "\n".join([title, *(f"- {line}" for line in found.improve)])
    texts = plain_texts(title, text) | {"html": summary(found, page.name), "file": str(page)}
    return EMPTY | {"key": key, "message_id": key, "status": "report", "severity": "low", "title": title} | texts
