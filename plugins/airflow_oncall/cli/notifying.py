"""``airflow oncall notify test``: does a message reach people?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout

from airflow_oncall.act.notify.message import trial
from airflow_oncall.act.notify.sending import NOTIFIER_SECONDS, Message, SendResult, send_all
from airflow_oncall.act.notify.templates import problems, with_texts
from airflow_oncall.act.policy import Policy
from airflow_oncall.act.policy_file import PolicyFile
from airflow_oncall.act.routes import Target, default_route, targets_of_route
from airflow_oncall.cli.invented import reachable_api
from airflow_oncall.cli.terminal import command, complain, print_json
from airflow_oncall.errors import OnCallError


@command
def try_route(args: argparse.Namespace) -> int:
    """``notify test``"""
    policy = PolicyFile.read().policy
    targets = _targets(policy, args.route)
    for problem in problems():
        complain(f"{problem}; the shipped template is used")
    with redirect_stdout(sys.stderr):  # standard output is the answer's, and notifiers are other people's code
        results = sorted(_sent(targets), key=lambda one: targets.index(one.target))
    if args.format == "json":
        print_json([{"place": one.target.place, "classpath": one.target.classpath, "problem": one.problem} for one in results])
    else:
        print("\n".join(map(_line, results)))
    return 1 if any(one.problem for one in results) else 0


def _targets(policy: Policy, route: str | None) -> list[Target]:
    if route is not None and route not in policy.routes:
        raise OnCallError(f"{route!r} is no route; there are: {', '.join(policy.routes) or 'none'}")
    targets = targets_of_route(policy, route or default_route(policy))
    if not targets:
        raise OnCallError("nobody is told: give policy.yaml a route, or set [oncall] escalation_notifiers; see docs/notifications.md")
    return targets


def _sent(targets: list[Target]) -> Iterator[SendResult]:
    api = reachable_api()
    planned = [(target, [Message((), with_texts(trial(target.place, api.base_url if api else "")))]) for target in targets]
    return send_all(planned, NOTIFIER_SECONDS)


def _line(result: SendResult) -> str:
    target = result.target
    turn = f"after {target.after} min without an answer" if target.after else "at once"
    if not result.problem:
        return f"told      {target.place}, {turn}: {target.classpath}"
    return f"not told  {target.place}, {turn}: {result.problem.removeprefix(f'{target.place}: ')}"
