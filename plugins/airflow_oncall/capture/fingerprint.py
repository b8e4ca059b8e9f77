"""One short text per cause: the same failure tomorrow, on another host or with another id, has the same fingerprint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_LOOKED_AT = 8192
_KEPT = 1024  # less than is looked at: where the message is cut must not show, numbers before the cut vary in length
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://\S+")
_CALENDAR = re.compile(r"(?:\b(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|utc|gmt)[ ,.]{1,2}){1,3}(?=#)")
_NAMED_HOST = re.compile(r"\b(host ?name|host|server at|server|node|pod|worker|executor)([ =:]{1,2}[\"'(]?)([\w.-]+)")
_WORD = re.compile(r"[^\s\"'`(),;=\[\]{}<>|]+")
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_REPEATED = re.compile(r"#(?:[\s,:.-]*#)+")


def fingerprint(exception_chain: Iterable[str], message: str, operator: str | None) -> str:
    """Sixteen hex digits that stay the same while numbers, ids, hosts, paths, times and UUIDs change."""
    parts = ("\n".join(exception_chain), normalised(message), operator or "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def normalised(message: str) -> str:
    """The words of a message without what changes from one failure to the next."""
    text = _WORD.sub(_word, _URL.sub("#", message[:_LOOKED_AT])).lower()
    text = _NAMED_HOST.sub(_named_host, text)
    text = _CALENDAR.sub("", text)
    return " ".join(_REPEATED.sub("#", text).split())[:_KEPT]


def _word(match: re.Match[str]) -> str:
    word = match.group()
    core = word.rstrip(".:!?")
    varies = any(letter.isdigit() for letter in core) or "/" in core or "\\" in core or _HEX.fullmatch(core)
    return "#" + word[len(core) :] if varies or _HOST.fullmatch(core) else word


_NOT_A_HOST = frozenset(
    {"is", "was", "has", "not", "closed", "terminated", "lost", "error", "name", "failed", "could", "unreachable", "for", "to", "at", "in"}
)


def _named_host(match: re.Match[str]) -> str:
    return match.group() if match[3] in _NOT_A_HOST else f"{match[1]}{match[2]}#"
