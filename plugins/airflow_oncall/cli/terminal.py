"""What every command needs: its errors in one line, answers on standard output, and everything else on standard error."""

from __future__ import annotations

import argparse
import getpass
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, track

from airflow_oncall.connections import read_like_a_server
from airflow_oncall.errors import BadSetting, OnCallError

Command = Callable[[argparse.Namespace], int]
Item = TypeVar("Item")


def command(run: Command) -> Command:
    """Give a command the connections of Airflow's database, and its errors one line instead of a traceback."""

    @wraps(run)
    def guarded(args: argparse.Namespace) -> int:
        read_like_a_server()
        _log_to_stderr()
        try:
            code = run(args)
        except (OnCallError, OSError) as error:  # e.g. a disk that is full
            print(f"oncall: {error}", file=sys.stderr)
            code = 1
        if code:  # `airflow` itself ignores what a command returns
            raise SystemExit(code)
        return code

    return guarded


def require_database() -> None:
    """For commands that read Airflow's Variables, where a traceback of Airflow's would be told else.

    Raises ``BadSetting`` where Airflow's own backends cannot read them: its database is away, or has no tables yet.
    """
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    from sqlalchemy.exc import SQLAlchemyError

    from airflow_oncall.act.killswitch import VARIABLE

    for backend in ensure_secrets_backend_loaded():
        try:
            backend.get_variable(key=VARIABLE)
        except SQLAlchemyError as error:
            problem = str(getattr(error, "orig", error)).partition("\n")[0]
            way_out = "start it, run `airflow db migrate` if it is new, or mend [database] sql_alchemy_conn"
            raise BadSetting(f"Airflow's Variables cannot be read from its database ({problem}); {way_out}") from error


def _log_to_stderr() -> None:
    """Airflow logs to standard output, which belongs to a command's own answer."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def print_json(value: Any) -> None:
    """An answer for programs."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def complain(text: object) -> None:
    """One line on standard error."""
    print(f"oncall: {text}", file=sys.stderr)


def this_user() -> str:
    """Who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number only
        return str(os.getuid())


def bar(what: str) -> Callable[[Sequence[Item]], Iterable[Item]]:
    """A progress bar over what a loop goes through; none where nobody looks at a terminal."""
    console = Console(stderr=True)
    return lambda items: track(items, what, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def steps(what: str, count: int) -> Iterator[Callable[[str], None]]:
    """A progress bar that is told the name of each step before it begins; a line a step where nobody looks at a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    numbers = itertools.count()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task(what, total=count if count > 1 else None)

        def begin(step: str) -> None:
            progress.update(shown, description=f"{what}: {step}", completed=next(numbers))
            if not console.is_terminal:
                complain(f"{what}: {step}")

        yield begin
