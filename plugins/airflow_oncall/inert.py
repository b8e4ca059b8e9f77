"""Text that others wrote, a language model among them, made harmless before people see it."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-_])?")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters, halves of characters, and marks that hide text or turn the direction in which it is read."""
_ENDS_OF_LINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def inert(text: str, most: int) -> str:
    """At most so many characters, nothing in them that a terminal, a page or a mail client would act on but for markup."""
    seen = _ESCAPES.sub("", _ENDS_OF_LINES.sub("\n", text[: 4 * most]))
    plain = _UNSEEN.sub("", seen)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def one_line(text: str, most: int) -> str:
    """As :func:`inert`, without the end of a line: what a header may hold."""
    return inert(" ".join(inert(text, 4 * most).split()), most)
