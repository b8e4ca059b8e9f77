"""``python -m airflow_oncall ...``: the commands of ``airflow oncall ...`` where the wheel is not installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from airflow.cli.cli_config import CLICommand, GroupCommand

from airflow_oncall.cli.definition import COMMANDS
from airflow_oncall.errors import OnCallError


def parser(commands: Iterable[CLICommand] = COMMANDS) -> argparse.ArgumentParser:
    """The same definitions that ``airflow`` reads, as a parser of our own."""
    root = argparse.ArgumentParser(prog="python -m airflow_oncall", description="Automated on-call for Apache Airflow.")
    _add(root, commands)
    return root


def _add(parent: argparse.ArgumentParser, commands: Iterable[CLICommand]) -> None:
    children = parent.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        child = children.add_parser(command.name, help=command.help, description=command.help)
        if isinstance(command, GroupCommand):
            _add(child, command.subcommands)
            continue
        for arg in command.args:
            arg.add_to_parser(child)
        child.set_defaults(func=command.func)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 where it failed, with the reason on standard error."""
    asked = parser().parse_args(arguments)
    try:
        return int(asked.func(asked) or 0)
    except OnCallError as error:
        print(f"oncall: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
