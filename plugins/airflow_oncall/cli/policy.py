"""``airflow oncall policy init|check|explain``: a policy of your own; is it good, does it say what you mean, and which line decides?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime, timezone

from rich.console import Console
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.act.decide import decide, effective_of
from airflow_oncall.act.notify.templates import problems
from airflow_oncall.act.policy_file import NAME, PolicyFile
from airflow_oncall.act.soundness import Doubt, doubts, unknown_dags
from airflow_oncall.cli.explaining import Explanation
from airflow_oncall.cli.invented import RUN_ID, incident_of, moment, reachable_api, situation, task_of
from airflow_oncall.cli.terminal import command, complain, print_json
from airflow_oncall.errors import OnCallError
from airflow_oncall.incident import Diagnosis, TaskRef

SCHEMA = "policy.schema.json"
"""For editors; the policy's first line names it."""


@command
def init(args: argparse.Namespace) -> int:
    """``policy init``"""
    own, shipped = conf.include_paths()[0], conf.shipped_include()
    path = own / NAME
    if path.exists():
        raise OnCallError(f"{path} is there already; edit it, and `airflow oncall policy check` says what is wrong with it")
    own.mkdir(parents=True, exist_ok=True)
    for name in (SCHEMA, NAME):
        (own / name).write_bytes((shipped / name).read_bytes())
    print(f"{path}: a copy of the shipped policy, in force from now on; edit it, then run `airflow oncall policy check`")
    return 0


@command
def check(args: argparse.Namespace) -> int:
    """``policy check``"""
    file = PolicyFile.read(args.file)
    known = _known_dags()
    found = doubts(file.policy, datetime.now(timezone.utc)) + ([] if known is None else unknown_dags(file.policy, known))
    found += [Doubt("templates", f"{problem}; the shipped one is used") for problem in problems()]
    told = sorted((file.line(one.place) or 0, one.place, one.text) for one in found)
    if args.format == "json":
        print_json({"file": file.path, "doubts": [{"line": line, "place": place, "text": text} for line, place, text in told]})
        return 0
    for line, place, text in told:
        print(f"{file.path}:{line}: {place}: {text}")
    print(f"{file.path} is good" + (f"; {len(told)} of what it says may not be meant" if told else ""))
    return 0


def _known_dags() -> frozenset[str] | None:
    """``None`` where Airflow does not say: a policy can be checked without one."""
    api = reachable_api()
    try:
        return frozenset(api.dag_ids()) if api else None
    except OnCallError as error:
        complain(f"whether the DAGs that it names exist is not known: {error}")
        return None


@command
def explain(args: argparse.Namespace) -> int:
    """``policy explain``"""
    file, at = PolicyFile.read(args.file), moment(args.at)
    ref = TaskRef(args.dag_id, RUN_ID, args.task_id)
    diagnosis = Diagnosis(args.category, 1.0, True, args.probability, decided_by="you")
    bare = situation(incident_of(ref, at), diagnosis, task_of(reachable_api(), ref))
    found = effective_of(bare, file.policy)
    rule = found.rule(args.category)
    made_up = replace(bare, chance=args.probability, parameters=rule.parameters if rule else {})
    explanation = Explanation(file, found, ref.dag_id, args.category, decide(made_up, file.policy), at)
    if args.format == "json":
        print_json(explanation.plain())
        return 0
    out = Console(soft_wrap=True)
    out.print(Text(f"{ref.dag_id}.{ref.task_id} fails by {args.category}; the action would help with probability {args.probability:.0%}."))
    explanation.print(out)
    return 0
