"""``airflow oncall doctor``: is this installation able to do its work, and fit for production?

Each line is ok, advice, or what is wrong, with what to do. Advice fails nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.cli import production
from airflow_oncall.cli.terminal import command
from airflow_oncall.errors import AirflowApiError, BadDataFile, BadSetting, NotFound, OnCallError, SchemaOutdated, StoreError
from airflow_oncall.incident import OWN_DAG_IDS
from airflow_oncall.rest import AirflowApi, open_api
from airflow_oncall.store import open_store
from airflow_oncall.store.notices import Trouble
from airflow_oncall.store.records import now
from airflow_oncall.store.sql import Store

MEND_SETTING = "set it in airflow.cfg or the environment, or mend the connection that the message names"
MEND_FILE = "mend the file; until then its last good version stays in force"


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
    if wrong := list(conf.problems()):
        raise Wrong("; ".join(wrong), MEND_SETTING)
    return f"{len(conf.OPTIONS)} options, every value can be used"


def store(patient: Patient) -> str:
    """incident store"""
    from airflow_oncall.store.engine import shown
    from airflow_oncall.store.schema import HEAD, NEWER_CODE, current_revision, is_newer

    revision = current_revision(patient.store.engine)
    if revision != HEAD:
        mend = NEWER_CODE if revision and is_newer(revision) else "run `airflow oncall db upgrade`"
        raise Wrong(f"tables are at revision {revision}, this code needs {HEAD}", mend)
    return f"{shown(patient.store.engine.url)}, revision {HEAD}"


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
    try:
        parse(Policy, str(path), _text(path))
    except BadDataFile as error:
        raise Wrong(error, MEND_FILE) from error
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
            parse_rules({str(path): _text(path)} if path else {})
        except BadDataFile as error:
            wrong.append(str(error))
    if wrong:
        raise Wrong("; ".join(wrong), MEND_FILE)
    return f"{len(read_rules(files).rules)} rules"


def sources(patient: Patient) -> str:
    """sources.yaml"""
    from airflow_oncall.capture.logs.configured import read_sources

    try:
        named = [f"{one.name} ({one.kind})" for one in read_sources().sources]
    except BadDataFile as error:
        raise Wrong(error, MEND_FILE) from error
    return f"{len(named)} log sources" + (f": {', '.join(named)}" if named else "; docs/logs.md says how to add one")


def signatures(patient: Patient) -> str:
    """signatures"""
    from airflow_oncall.capture.logs.signatures import parse_signatures
    from airflow_oncall.store.operator_files import OperatorFiles

    files, count = OperatorFiles(conf.include_paths()), 0
    try:
        for name in files.names("signatures", ".yaml"):
            path = files.find(name)
            count += len(parse_signatures(str(path), _text(path))) if path else 0
    except BadDataFile as error:
        raise Wrong(error, MEND_FILE) from error
    return f"{count} signatures"


def masks(patient: Patient) -> str:
    """masking.yaml"""
    from airflow_oncall.capture import masking

    path = masking.find()
    try:
        found = masking.read(path) if path else masking.MaskingFile()
    except BadDataFile as error:
        raise Wrong(error, "mend the file; until then only its last good version and its good patterns mask") from error
    if problem := masking.in_force().problem:
        raise Wrong(problem, masking.WAY_BACK)
    return f"{len(found.patterns)} patterns beside the shipped ones, {len(found.never_masked)} words that are never masked"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataFile(path, f"cannot be read: {error}") from error


def model(patient: Patient) -> str:
    """model"""
    from airflow_oncall.learn.starter import NAME, load_starter

    models = patient.store.models
    loaded = load_starter(conf.models_path(), models)
    if loaded:
        return loaded[1]
    if models.champions(NAME):
        raise Wrong("no registered model can be trusted, rules decide alone", "the warnings above say why; restore the file or train again")
    return "none yet: the first triage run trains the starter model"


def notifiers(patient: Patient) -> str:
    """escalation notifiers"""
    # Other people's code may raise anything, with what it signs in with in its text: it runs aside and only its type is told.
    from airflow_oncall.act.notify.sending import load, problem_with
    from airflow_oncall.act.policy_file import PolicyFile
    from airflow_oncall.act.routes import targets_of_route

    policy = PolicyFile.read().policy
    known = [target for route in (None, *policy.routes) for target in targets_of_route(policy, route)]
    wrong = [problem for target in known if (problem := problem_with(target, partial(load, target)))]
    if wrong:
        raise Wrong("; ".join(wrong), "mend [oncall] escalation_notifiers or routes of policy.yaml, or what the notifier needs to be made")
    failing = [_failing(one) for one in patient.store.notices.troubles() if one.place in {target.place for target in known}]
    lost = patient.store.notices.given_up_since(now() - timedelta(days=1))
    if failing or lost:
        given_up = [f"{lost} messages of the last 24 h were given up"] if lost else []
        raise Wrong("; ".join([*failing, *given_up]), "`airflow oncall notify test` tries each notifier; see the log of oncall_triage")
    return f"{len(known)} configured" if known else "none configured: escalations are seen in the UI only"


def _failing(trouble: Trouble) -> str:
    times = "once" if trouble.failures == 1 else f"{trouble.failures} times in a row"
    rest = f", and rests until {trouble.rests_until:%H:%M:%S} UTC" if trouble.rests_until else ""
    return f"{trouble.place} failed {times}{rest}: {trouble.problem}"


def templates(patient: Patient) -> str:
    """message templates"""
    from airflow_oncall.act.notify.templates import problems

    wrong = [str(error) for error in problems()]
    if wrong:
        raise Wrong("; ".join(wrong), "mend the file; until then the shipped template of its name is used")
    return "in order"


def rest(patient: Patient) -> str:
    """REST API"""
    try:
        skew = patient.api.server_time()
        patient.api.may_clear("oncall_triage")
    except NotFound as error:
        problem = f"{patient.api.base_url} answers, but oncall_triage is not loaded: the user's role could not be checked"
        raise Wrong(problem, "copy dags/ or add the DAG bundle, then run this command again") from error
    except AirflowApiError as error:
        mend = f"check connection {conf.airflow_conn_id()!r}: host, port, login, password; its user needs the role Op"
        raise Wrong(error, mend) from error
    return f"{patient.api.base_url}, may clear task instances, its clock says {skew:%H:%M:%S} UTC"


def dags(patient: Patient) -> str:
    """DAGs"""
    for dag_id in sorted(OWN_DAG_IDS):
        try:
            paused = patient.api.is_paused(dag_id)
        except NotFound as error:
            raise Wrong(f"{dag_id} is not loaded", "copy dags/ or add the DAG bundle; see README, Install") from error
        if paused:
            raise Wrong(f"{dag_id} is paused", f"run `airflow dags unpause {dag_id}`")
    return f"{', '.join(sorted(OWN_DAG_IDS))} loaded and unpaused"


def plugin(patient: Patient) -> str:
    """plugin"""
    loaded = patient.api.plugins().count("oncall")
    if loaded == 0:
        raise Wrong("not loaded by the api-server", "copy plugins/ or install the wheel, then restart Airflow")
    if loaded > 1:
        raise Wrong(f"loaded {loaded} times", "keep either the wheel or the plugins folder, not both")
    return "loaded once"


CHECKS: tuple[Callable[[Patient], str], ...] = (
    settings,
    store,
    spool,
    policy,
    rules,
    sources,
    signatures,
    masks,
    model,
    notifiers,
    templates,
    rest,
    dags,
    plugin,
)


class Finding(NamedTuple):
    """What one check found."""

    name: str
    ok: bool
    text: str
    mend: str = ""
    is_advice: bool = False
    """It works, but not as it should in production."""


def examine(checks: tuple[Callable[[Patient], str], ...] = (*CHECKS, *production.CHECKS)) -> Iterator[Finding]:
    """Run the checks one by one; a check that fails does not stop the others."""
    patient = Patient()
    for check in checks:
        name = (check.__doc__ or "").strip()
        try:
            yield Finding(name, True, check(patient))
        except Wrong as wrong:
            yield Finding(name, False, str(wrong), wrong.mend)
        except production.Advice as advice:
            yield Finding(name, True, str(advice), advice.mend, is_advice=True)
        except OnCallError as error:
            yield Finding(name, False, str(error), _way_out(error))


def _way_out(error: OnCallError) -> str:
    if isinstance(error, BadSetting):
        return MEND_SETTING
    if isinstance(error, SchemaOutdated):
        return "run `airflow oncall db upgrade`"
    if isinstance(error, StoreError):
        return f"check that the database is up and connection {conf.conn_id()!r} is right"
    if isinstance(error, AirflowApiError):
        return f"check that the api-server is up and connection {conf.airflow_conn_id()!r} is right"
    return "mend what the message names"


_OK, _ADVICE, _WRONG = Text("ok     ", style="green"), Text("advice ", style="yellow"), Text("wrong  ", style="bold red")


@command
def doctor(args: argparse.Namespace) -> int:
    """``doctor``"""
    out, sick = Console(soft_wrap=True), 0
    for finding in examine():
        sick += not finding.ok
        mark = _ADVICE if finding.is_advice else _OK if finding.ok else _WRONG
        mend = f"\n       -> {finding.mend}" if finding.mend else ""
        out.print(mark + Text(f"{finding.name}: {finding.text}{mend}"))
    return 1 if sick else 0
