"""Runs one script as a task's process would and leaves its exceptions where the lab finds them. Standard library only.

``python harness.py SCRIPT NAME REPORT WRAP``: NAME is the path that tracebacks show; REPORT gets the exception chain as JSON;
WRAP is ``none``, ``from`` (a wrapper raised from the error) or ``during`` (one raised while the error was handled).
"""

from __future__ import annotations

import json
import sys
import traceback
from types import CodeType


class StepFailed(Exception):
    """The kind of wrapper that in-house frameworks put around what really happened."""


def chain(error: BaseException) -> list[tuple[str, str]]:
    """Class and message, outermost first."""
    names: list[tuple[str, str]] = []
    current: BaseException | None = error
    while current is not None:
        kind = type(current)
        name = kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
        names.append((name, str(current)))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return names


def run(code: CodeType, wrap: str) -> None:
    """Run it, in the wrapper asked for."""
    scope = {"__name__": "__main__"}
    if wrap == "none":
        exec(code, scope)
        return
    try:
        exec(code, scope)
    except Exception as error:
        if wrap == "from":
            raise StepFailed("step did not finish") from error
        raise RuntimeError("could not complete the job")  # noqa: B904 - Python itself chains it as "during handling"


def main() -> None:
    """See the module."""
    script, name, report, wrap = sys.argv[1:]
    with open(script, encoding="utf-8") as file:
        code = compile(file.read(), name, "exec")
    try:
        run(code, wrap)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the recording
        with open(report, "w", encoding="utf-8") as out:
            json.dump(chain(error), out)
        sys.stdout.flush()
        traceback.print_exception(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
