"""Commands that make models better: training, measuring, and what people say."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.cli.terminal import bar, command, complain, print_json, steps, this_user
from airflow_oncall.errors import BadDataFile, OnCallError, TrainingSkipped
from airflow_oncall.store import open_store
from airflow_oncall.training import NAME, STEPS, Training, run_training

if TYPE_CHECKING:
    from airflow_oncall.brain import Brain
    from airflow_oncall.learn.dataset import Example
    from airflow_oncall.triage.features import Features
    from airflow_oncall.triage.models import TriageModels

SHOWN_PROBLEMS, SHOWN_TOKENS = 10, 40


@command
def train(args: argparse.Namespace) -> int:
    """``train``"""
    report = _train_starter() if args.starter else _train(args.force)
    if args.format == "json":
        print_json(report)
        return 0
    version = report["version"]
    ended = "reigns" if report["promoted"] else "is trained, the champion stays"
    print(f"{NAME} {version} {ended}" if version else "nothing was trained")
    for reason in report["reasons"]:
        print(f"  {reason}")
    if version:
        print(f"  its card: {conf.models_path()}/{NAME}/{version}, or `airflow oncall models info {version}`")
    return 0


def _train(force: bool) -> dict[str, Any]:
    from airflow_oncall.store.records import now

    run_id = f"by-hand-{now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    with steps("training", len(STEPS)) as progress:
        return run_training(Training(open_store(), conf.models_path(), run_id, force=force), progress)


def _train_starter() -> dict[str, Any]:
    from airflow_oncall.brain import Brain, read_rules
    from airflow_oncall.learn.starter import train_starter
    from airflow_oncall.store.operator_files import OperatorFiles

    store = open_store()
    rules = read_rules(OperatorFiles(conf.include_paths(), store.good_files))
    with steps("training", 1) as progress:
        progress("starter models from the corpus")
        try:
            model = train_starter(conf.models_path(), store.models, judge=Brain(rules).judge)
        except TrainingSkipped as reason:
            return {"version": None, "promoted": False, "reasons": [str(reason)]}
    return {"version": model.version, "promoted": True, "reasons": ["trained from the corpus alone, without a gate"]}


@command
def evaluate(args: argparse.Namespace) -> int:
    """``evaluate``"""
    from airflow_oncall.brain import brain_without_airflow

    if not args.data and not args.interactive:
        raise OnCallError("nothing to evaluate; give --data FILE with labelled failures, or --interactive to type them in")
    examples = _labelled(Path(args.data)) if args.data else []
    brain = brain_without_airflow()
    if examples:
        reports = _measured(brain, examples)
        if args.format == "json":
            print_json(reports)
        else:
            _print_reports(reports)
    if args.interactive:
        from airflow_oncall.cli.questions import Session

        Session(brain, Path(args.answers) if args.answers else None).run()
    return 0


def _labelled(path: Path) -> list[Example]:
    from airflow_oncall.capture.redact import redact
    from airflow_oncall.judgement import LOG_CHARACTERS
    from airflow_oncall.learn.datafiles import REQUIRED, check, examples
    from airflow_oncall.learn.rows import read_rows

    checked = check(read_rows(path, REQUIRED), lambda text: redact(text, LOG_CHARACTERS), bar("checking"))
    for problem in checked.problems[:SHOWN_PROBLEMS]:
        complain(f"{path}: {problem}")
    if len(checked.problems) > SHOWN_PROBLEMS:
        complain(f"{path}: {len(checked.problems)} problems in all; `airflow oncall validate-data {path}` shows them")
    if not checked.rows:
        raise BadDataFile(path, "no row is fit to be evaluated")
    return list(examples(checked.rows))


def _measured(brain: Brain, examples: Sequence[Example]) -> dict[str, Any]:
    """Reports of rules alone, models alone and the ladder of both."""
    from airflow_oncall.learn.evaluation import Answer, measure
    from airflow_oncall.triage.diagnose import diagnose
    from airflow_oncall.triage.rules import RuleBook

    who: dict[str, tuple[RuleBook, TriageModels | None]] = {"rules alone": (brain.rules, None)}
    if brain.models:
        who |= {"models alone": (RuleBook(()), brain.models), "ladder": (brain.rules, brain.models)}
    reports = {}
    for name, (rules, models) in who.items():
        found = [diagnose(example.text, rules=rules, models=models) for example in bar(name)(examples)]
        reports[name] = measure(examples, [Answer(one.category, one.probability, one.transient) for one in found])
    return reports


def _print_reports(reports: Mapping[str, Mapping[str, Any]]) -> None:
    first = next(iter(reports.values()))
    table = Table("", *reports, title=f"{first['rows']} rows in {first['groups']} groups, with 95 % intervals")
    for key in dict.fromkeys(key for report in reports.values() for key, value in report.items() if isinstance(value, float)):
        table.add_row(key.replace("_", " "), *(_figure(report, key) for report in reports.values()))
    Console().print(table)


def _figure(report: Mapping[str, Any], key: str) -> str:
    if key not in report:
        return ""
    low, high = report["intervals"][key]
    return f"{report[key]:.3f} ({low:.2f}-{high:.2f})"


@command
def feedback(args: argparse.Namespace) -> int:
    """``feedback ID``"""
    from airflow_oncall.feedback import give_feedback

    correct = None if args.action_correct is None else args.action_correct == "yes"
    label = give_feedback(
        open_store(),
        args.incident_id,
        args.user or this_user(),
        category=args.category,
        action_correct=correct,
        false_positive=args.false_positive,
        comment=args.comment,
    )
    at = f"{label.given_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"incident {label.incident_id}: kept as said by {label.given_by} at {at}; the next training learns from it")
    return 0


@command
def show_features(args: argparse.Namespace) -> int:
    """``test-features``"""
    from airflow_oncall.triage.features import read_features, tokens

    text = args.text if args.text is not None else sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise OnCallError("there is no text; give --text TEXT, or a log on standard input")
    features = read_features(text)
    compared = _compared(features)
    if args.format == "json":
        print_json({"features": _plain(features), "tokens": tokens(features), "table": compared})
    else:
        _print_features(features, tokens(features), compared)
    return 0 if compared["ok"] else 1


def _compared(features: Features) -> dict[str, Any]:
    """The table scorer's word on these features and the pickle's."""
    from airflow_oncall.errors import UntrustedModel
    from airflow_oncall.learn.files import read_trusted
    from airflow_oncall.learn.registry import load_model
    from airflow_oncall.learn.table_export import TOLERANCE, difference
    from airflow_oncall.triage.features import tokens
    from airflow_oncall.triage.table import TABLE
    from airflow_oncall.triage.table import Table as Scorer

    champion = next(iter(open_store().models.champions(NAME)), None)
    if champion is None:
        return {"ok": True, "problem": "no champion yet, so there is nothing to compare; `airflow oncall train --starter` makes one"}
    try:
        models = load_model(conf.models_path(), champion)
        table = Scorer.load(read_trusted(conf.models_path(), champion, TABLE), f"{NAME} {champion.version} {TABLE}")
    except (UntrustedModel, BadDataFile) as refusal:
        return {"ok": False, "problem": str(refusal)}
    found = difference(table, models, [features])
    return {
        "ok": found <= TOLERANCE,
        "version": champion.version,
        "difference": found,
        "tolerance": TOLERANCE,
        "by_table": table.probabilities(tokens(features)),
        "by_pickle": dict(models.read(features).probabilities),
    }


def _plain(features: Features) -> dict[str, Any]:
    from dataclasses import asdict

    plain = asdict(features) | {"codes": sorted(features.codes)}
    return plain | {"clauses": [clause | {"codes": sorted(clause["codes"])} for clause in plain["clauses"]]}


def _print_features(features: Features, found: Sequence[str], compared: Mapping[str, Any]) -> None:
    out = Console(soft_wrap=True)
    for name in ("chain", "innermost", "outermost", "codes", "service", "ended", "alarmed", "looked_at"):
        value = getattr(features, name)
        said = ", ".join(sorted(value) if isinstance(value, frozenset) else value) if isinstance(value, (tuple, frozenset)) else value
        out.print(Text(f"{name}: {said}"))
    for clause in features.clauses:
        out.print(Text(f"  {clause.weight:.2f}  {clause.text}"), no_wrap=True, overflow="ellipsis")
    more = f" and {len(found) - SHOWN_TOKENS} more" if len(found) > SHOWN_TOKENS else ""
    out.print(Text(f"tokens: {' | '.join(found[:SHOWN_TOKENS])}{more}"))
    if "problem" in compared:
        out.print(Text(f"table: {compared['problem']}"))
        return
    table = Table("category", "table", "pickle", title=f"{NAME} {compared['version']}, largest difference {compared['difference']:.1e}")
    for name, probability in list(compared["by_table"].items())[:5]:
        table.add_row(name, f"{probability:.4f}", f"{compared['by_pickle'][name]:.4f}")
    out.print(table)
    if not compared["ok"]:
        out.print(Text(f"table: differs by more than {compared['tolerance']}; train again"))
