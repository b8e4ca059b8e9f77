"""What an engine is to the lab: something that is started, broken on purpose, and whose words are recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import Self

from lab.scenario import Scenario


class NotProvoked(Exception):
    """The engine did not show the fault that was provoked: the scenario is wrong, the engine changed, or the machine was too slow."""


class NotPossible(Exception):
    """This machine gives no means to provoke the scenario, e.g. no right to mount a small disk."""


@dataclass(frozen=True)
class Raised:
    """One exception of a Python chain."""

    kind: str
    """Qualified class name."""
    message: str


@dataclass(frozen=True)
class Recording:
    """What one view of one provoked fault says, before it is dressed and scrubbed."""

    text: str
    view: str
    """Who wrote it, e.g. ``client``, ``server stderr``, ``server csvlog``, ``driver``, ``executor``, ``task log``."""
    dressable: bool = True
    """A program's own output, which may appear inside a task's log; ``False`` where it is a finished log already."""
    raised: tuple[Raised, ...] = ()
    """The Python exceptions that ended the program, outermost first; their traceback is the end of ``text``."""
    exit_code: int | None = None
    """As the shell has it: negative for a signal. ``None`` where no process ended."""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    """Identifiers that the text shows and only the engine knows (a port it chose, an application id)."""


class Engine(Protocol):
    """Starts with its ``with`` block, ends with it, and leaves nothing behind."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    @property
    def version(self) -> str:
        """Product and version, as the provenance names it."""

    def provoke(self, scenario: Scenario, values: Mapping[str, str]) -> Iterable[Recording]:
        """Break it once, with one variation's values; one recording a view.

        Raises :class:`NotPossible`, or :class:`NotProvoked` where the engine itself can tell.
        """
