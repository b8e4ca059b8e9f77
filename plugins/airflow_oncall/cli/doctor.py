"""``airflow oncall doctor``: is this installation able to do its work? Each line is ok, or what is wrong and how to mend it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.cli.commands import command
from airflow_oncall.errors import AirflowApiError, BadDataFile, NotFound, OnCallError
from airflow_oncall.rest import AirflowApi, open_api
from airflow_oncall.store import open_store
from airflow_oncall.store.sql import Store

DAGS = ("oncall_triage", "oncall_approval")


class Wrong(OnCallError):
    """A check found something; ``mend`` is the way out."""

    def __init__(self, problem: object, mend: str) -> None:
        super().__init__(str(problem))
        self.mend = mend


class Patient:
    """The installation under examination; each part is opened once, by the first check that needs it."""

    @cached_property
    def store(self) -> Store:
        """The incident store, not migrated by looking at it."""
        return open_store(migrate=False, patience=5)

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow over REST."""
        return open_api()


def settings(patient: Patient) -> str:
    """[oncall] settings"""
    conf.approval_timeout(), conf.verify_timeout(), conf.lookback(), conf.spool_max_bytes(), conf.ignores("")
    return f"mode {conf.mode()}"


def store(patient: Patient) -> str:
    """incident store"""
    from airflow_oncall.store.schema import HEAD, current_revision

    revision = current_revision(patient.store.engine)
    if revision != HEAD:
        raise Wrong(f"tables are at revision {revision}, this code needs {HEAD}", "run `airflow oncall db upgrade`")
    return f"{patient.store.engine.url!r}, revision {HEAD}"


def spool(patient: Patient) -> str:
    """spool"""
    from airflow_oncall.capture.spool import waiting_bytes

    return f"{conf.spool_path()}, {waiting_bytes()} bytes waiting to be stored"


def policy(patient: Patient) -> str:
    """policy.yaml"""
    from airflow_oncall.act.policy import Policy
    from airflow_oncall.datafile import parse

    path = next((folder / "policy.yaml" for folder in conf.include_paths() if (folder / "policy.yaml").is_file()), None)
    if path is None:
        raise Wrong("not found", "reinstall, or set [oncall] include_path")
    parse(Policy, str(path), path.read_text(encoding="utf-8"))
    return str(path)


def rules(patient: Patient) -> str:
    """rules"""
    from airflow_oncall.brain import read_rules
    from airflow_oncall.store.operator_files import OperatorFiles
    from airflow_oncall.triage.rulefile import parse_rules

    files, wrong = OperatorFiles(conf.include_paths()), []
    for name in files.names("rules", ".yaml"):
        path = files.find(name)
        try:
            parse_rules({str(path): path.read_text(encoding="utf-8")} if path else {})
        except BadDataFile as error:
            wrong.append(str(error))
    if wrong:
        raise Wrong("; ".join(wrong), "mend the file; until then its last good version stays in force")
    return f"{len(read_rules(files).rules)} rules"


def model(patient: Patient) -> str:
    """model"""
    from airflow_oncall.brain import load_brain

    version = load_brain(patient.store).version
    if version is None:
        raise Wrong("no trusted model can be loaded, rules decide alone", "see the warnings above; the next triage run trains one")
    return f"classifier {version}"


def notifiers(patient: Patient) -> str:
    """escalation notifiers"""
    from airflow_oncall.act.escalate import load

    specs = conf.escalation_notifiers()
    for spec in specs:
        load(spec)
    return f"{len(specs)} configured" if specs else "none configured: escalations are seen in the UI only"


def rest(patient: Patient) -> str:
    """REST API"""
    try:
        skew = patient.api.server_time()
        patient.api.may_clear("oncall_triage")
    except NotFound:
        return f"{patient.api.base_url} answers"
    except AirflowApiError as error:
        mend = f"check connection {conf.airflow_conn_id()!r}: host, port, login, password; its user needs the role Op"
        raise Wrong(error, mend) from error
    return f"{patient.api.base_url}, may clear task instances, its clock says {skew:%H:%M:%S} UTC"


def dags(patient: Patient) -> str:
    """DAGs"""
    for dag_id in DAGS:
        try:
            paused = patient.api.is_paused(dag_id)
        except NotFound as error:
            raise Wrong(f"{dag_id} is not loaded", "copy dags/ or add the DAG bundle; see README, Install") from error
        if paused:
            raise Wrong(f"{dag_id} is paused", f"run `airflow dags unpause {dag_id}`")
    return f"{', '.join(DAGS)} loaded and unpaused"


def plugin(patient: Patient) -> str:
    """plugin"""
    loaded = patient.api.plugins().count("oncall")
    if loaded == 0:
        raise Wrong("not loaded by the api-server", "copy plugins/ or install the wheel, then restart Airflow")
    if loaded > 1:
        raise Wrong(f"loaded {loaded} times", "keep either the wheel or the plugins folder, not both")
    return "loaded once"


CHECKS: tuple[Callable[[Patient], str], ...] = (settings, store, spool, policy, rules, model, notifiers, rest, dags, plugin)


class Finding(NamedTuple):
    """What one check found."""

    name: str
    ok: bool
    text: str
    mend: str = ""


def examine(checks: tuple[Callable[[Patient], str], ...] = CHECKS) -> Iterator[Finding]:
    """Run the checks one by one; a check that fails does not stop the others."""
    patient = Patient()
    for check in checks:
        name = (check.__doc__ or "").strip()
        try:
            yield Finding(name, True, check(patient))
        except Wrong as wrong:
            yield Finding(name, False, str(wrong), wrong.mend)
        except OnCallError as error:  # says the way out itself
            yield Finding(name, False, str(error))


@command
def doctor(args: argparse.Namespace) -> int:
    """``doctor``"""
    out, sick = Console(soft_wrap=True), 0
    for finding in examine():
        sick += not finding.ok
        mark = Text("ok     ", style="green") if finding.ok else Text("wrong  ", style="bold red")
        mend = f"\n       -> {finding.mend}" if finding.mend else ""
        out.print(mark + Text(f"{finding.name}: {finding.text}{mend}"))
    return 1 if sick else 0
