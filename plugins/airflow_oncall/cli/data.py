"""Commands for files of labelled failures and of incidents that another tool kept."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_oncall import conf
from airflow_oncall.cli.terminal import bar, command, print_json
from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import NO_INCIDENT

if TYPE_CHECKING:
    from airflow_oncall.learn.rows import Problem


@command
def validate_data(args: argparse.Namespace) -> int:
    """``validate-data``"""
    from airflow_oncall.learn.datafiles import REQUIRED, check
    from airflow_oncall.learn.rows import read_rows, write_rows

    path, out = Path(args.file), Path(args.clean) if args.clean else None
    checked = check(read_rows(path, REQUIRED), _mask, bar("checking"))
    mended = len({problem.row for problem in checked.problems if not problem.left_out})
    if args.format == "json":
        problems = _plain(checked.problems)
        print_json({"fit": len(checked.rows), "left_out": checked.left_out, "mended": mended, "problems": problems, "notes": checked.notes})
    else:
        _print_problems(path, checked.problems)
        for note in checked.notes:
            print(f"{path}: {note}")
        print(f"{path}: {len(checked.rows)} rows are fit, {checked.left_out} left out, {mended} mended")
    if out is None:
        return 1 if checked.problems else 0
    write_rows(out, checked.rows)
    if args.format != "json":
        print(f"{out}: written, {len(checked.rows)} rows, secrets masked")
    return 0


@command
def import_incidents(args: argparse.Namespace) -> int:
    """``import-incidents``"""
    from airflow_oncall.brain import read_rules
    from airflow_oncall.learn.imports import read_incidents, write_incidents
    from airflow_oncall.store.operator_files import OperatorFiles
    from airflow_oncall.triage.diagnose import rule_word
    from airflow_oncall.triage.features import read_features

    rules = read_rules(OperatorFiles(conf.include_paths()))

    def judge(text: str) -> str | None:
        word = rule_word(rules.judge(read_features(text)))
        return word.category if word and word.category != NO_INCIDENT else None  # somebody wrote an incident down

    path = Path(args.file)
    found = read_incidents(path, judge, _mask, bar("reading incidents"))
    if not found.rows:
        _print_problems(path, found.problems)
        raise BadDataFile(path, "nothing is imported: no row is fit to be learned from")
    written = write_incidents(conf.include_paths()[0], path, found.rows)
    if args.format == "json":
        print_json({"imported": len(found.rows), "guessed": found.guessed, "file": written, "problems": _plain(found.problems)})
        return 0
    _print_problems(path, found.problems)
    print(f"{written}: {len(found.rows)} incidents; the next training learns from them, removing the file takes them back")
    if found.guessed:
        print(f"{found.guessed} of them have no category: the rules' word is used, with little weight.")
        print("A column category, or tags like category:data_quality, would count as a person's word.")
    return 0


def _mask(text: str) -> str:
    from airflow_oncall.capture.redact import redact
    from airflow_oncall.judgement import LOG_CHARACTERS

    return redact(text, LOG_CHARACTERS)


def _plain(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [problem._asdict() for problem in problems]


def _print_problems(path: Path, problems: Sequence[Problem]) -> None:
    for problem in problems:
        print(f"{path}: {problem}")
