"""``airflow oncall masking check|test``: is masking.yaml good, and what is masked by which rule?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from airflow_oncall.capture import masking
from airflow_oncall.capture.redact import explain, redact
from airflow_oncall.cli.terminal import command, print_json
from airflow_oncall.errors import BadDataFile

TEXT_CHARACTERS = 20_000


@command
def check(args: argparse.Namespace) -> int:
    """``masking check``"""
    path = Path(args.file) if args.file else masking.find()
    if path is None:
        raise BadDataFile(masking.NAME, "not found; reinstall, or set [oncall] include_path")
    found = masking.read(path)
    print(f"{path} is good: {len(found.patterns)} patterns, {len(found.never_masked)} words that are never masked")
    return 0


@command
def test(args: argparse.Namespace) -> int:
    """``masking test``"""
    text = args.text if args.text is not None else sys.stdin.read()
    told = [{"rule": rule, "text": found} for rule, found in explain(text)]
    masked = redact(text, TEXT_CHARACTERS)
    if args.format == "json":
        print_json({"masked": masked, "by": told})
        return 0
    print(masked)
    for one in told:
        print(f"  {one['rule']}: {json.dumps(one['text'])}")
    if not told:
        print("  no rule masks anything in it" if masked == text else "  Airflow's own masker knows what is masked in it")
    return 0
