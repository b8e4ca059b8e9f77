"""Run other people's code: it may raise anything, and it may hang."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def raised(call: Callable[[], object]) -> BaseException | None:
    """What a call raises, whatever it is; ``None`` where it returns."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - SystemExit as well: nobody else would hear of what it raised
        return error
    return None


def aside(call: Callable[[], T], seconds: float, name: str) -> tuple[BaseException | None, T | None]:
    """What a call raises, whatever it is, and what it returns, in a thread of this name.

    Raises ``TimeoutError`` after ``seconds``. The thread is left behind then, and the end of the process does not wait for it.
    """
    returned: list[T] = []
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    Thread(target=lambda: ended.put(raised(lambda: returned.append(call()))), daemon=True, name=name).start()
    try:
        error = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"{name} did not end in {seconds:g} s") from None
    return error, returned[0] if returned else None
