"""Masks secrets in text evidence: Airflow's own masker for the secrets it knows, patterns for the ones it cannot know, and the operator's.

Rather one word too many is masked than one secret stored. Every pattern takes linear time: repetitions are either
bounded or the last thing that is matched, so that a hostile message cannot stall a task.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from airflow_oncall.capture import masking

MASK = "***"
WINDOW = 128 * 1024
"""Characters that are looked at, half at each end; what lies between is never stored anyway."""
MARGIN = 16 * 1024
"""Dropped beside the cut of a longer text: more than the longest secret."""

_MASKERS = ("airflow.sdk._shared.secrets_masker", "airflow._shared.secrets_masker")

_KEY = (
    r"(?:pass(?:word|wd|phrase|code)|\bpass|pwd|secret|token|credential|api[_-]?key|apikey|authorization"
    r"|(?:access|account|private|shared|signing|encryption|fernet|master|routing|integration|service|storage|auth)[_-]?key(?:[_-]?id)?"
    r"|\bsas\b|sharedaccess(?:key|signature)"
    r"|\*{3})"  # Somebody's password is the word "secret": Airflow's masker has taken that word out of the key, too.
)
_VALUE = (
    r"(?:\\{1,3}(?P<quote>[\"'])(?:(?!\\{1,3}(?P=quote))[^\n]){0,4096}"  # JSON inside JSON
    r'|[bru]{0,2}"(?:[^"\\\n]|\\.)*'
    r"|[bru]{0,2}'(?:[^'\\\n]|\\.|'')*"
    r"|\{[^}\n]{0,4096}|\[[^\]\n]{0,4096}"
    r"|(?:(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4})?[^\s&;<]+)"
)
_Rule = tuple[str, Any, "str | Callable[[Any], str]"]
"""Name, expression of `re` or RE2, and what stands in place of a match."""
_PATTERNS: tuple[_Rule, ...] = tuple(
    (name, re.compile(pattern), replacement)
    for name, pattern, replacement in (
        # A text may begin or end inside a key: a missing BEGIN or END reaches to that end of the text.
        (
            "private key",
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.)*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            MASK,
        ),
        ("end of a private key", r"\A(?s:.)*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", MASK),
        ("cookie or AWS signature", r"(?i)(\bAWS4-HMAC-SHA256|\b(?:set-)?cookie\b[\"']?\s{0,4}[:=])[^\n]+", rf"\1 {MASK}"),
        # scheme://user:password@host; the password may hold one raw @, and ends before the next URL.
        ("password in a URL", r"(://[^\s:/@]{0,128}:)(?:(?!://)[^\s@])+(?:@[^\s@/:,]{1,128}(?=@))?@", rf"\1{MASK}@"),
        ("token in a URL", r"(://)[^\s:/@]{20,256}@", rf"\1{MASK}@"),
        (
            "value of a secret's name",
            rf"(?i)({_KEY}[\w.-]{{0,32}}\\{{0,3}}[\"']?[ \t]{{0,4}}(?:=>|:=|==|=|:|>)[ \t]{{0,4}}){_VALUE}",
            rf"\1{MASK}",
        ),
        # Command lines, SQL, and pairs that are no mapping.
        ("password option", r"(?i)((?<!\S)--?(?:pass(?:word|wd|phrase)?|\*{3})[ \t]{1,4})\S+", rf"\1{MASK}"),
        ("user and password", r"(?i)((?<!\S)(?:-u|--user)[ =]?[\w.@-]{1,128}:)\S+", rf"\1{MASK}"),
        ("Oracle login", r"(?i)(\b(?:thin:|sqlplus[ \t]{1,4}(?:-\w{1,8}[ \t]{1,4}){0,3})[\w$#]{1,128}/)[^\s@]+", rf"\1{MASK}"),
        (
            "SQL identified by",
            r"(?i)(\bidentified[ \t]{1,4}by[ \t]{1,4}(?:values[ \t]{1,4})?)(?:'(?:[^'\n]|'')*|\"[^\"\n]*|[^\s;]+)",
            rf"\1{MASK}",
        ),
        (
            "pair of a secret's name",
            rf"(?i)([\"']{_KEY}[\w.-]{{0,32}}[\"'][ \t]{{0,4}},[ \t]{{0,4}})[\"'](?:[^\"'\\\n]|\\.)*",
            rf"\1{MASK}",
        ),
        (
            "signed URL",
            r"(?i)(\b(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|signature|sig)=)[\w%+/=.~-]+",
            rf"\1{MASK}",
        ),
        ("bearer token", r"(?i)(\bbearer\s{1,4})[\w.~+/=-]{8,}", rf"\1{MASK}"),
        ("basic login", r"(?i)(\bbasic\s{1,4})(?=[a-z+/]{0,400}[0-9=])[\w+/=-]{8,}", rf"\1{MASK}"),
        ("JWT", r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}", MASK),  # JWT
        ("AWS access key id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", MASK),
        (
            "AWS secret key",
            r"(?<![\w+/=.-])(?=[\w+/]{0,39}[a-z])(?=[\w+/]{0,39}[A-Z])(?=[\w+/]{0,39}[0-9])[A-Za-z0-9+/]{40}(?![\w+/=])",
            MASK,
        ),  # AWS secret key
        ("Google key", r"AIza[\w-]{35}|ya29\.[\w.-]+", MASK),
        ("Slack token", r"xox[a-z]{1,2}-[\w-]{8,}|xapp-[\w-]{8,}|(?<=hooks\.slack\.com/services/)[\w/]+", MASK),
        ("GitHub or GitLab token", r"gh[pousr]_\w{16,}|github_pat_\w{16,}|gl[a-z]{2,5}-[\w.-]{16,}", MASK),
        ("Databricks or PagerDuty token", r"dapi[0-9a-f]{32}(?:-\d+)?|pd(?:us|eu)\+_[\w-]+|(?<!\w)u\+[\w-]{18}(?!\w)", MASK),
        ("API token", r"\bsk[-_][\w-]{16,}|\bhf_\w{16,}|\bhvs\.[\w-]{16,}|\bnpm_\w{16,}|\bSG\.[\w-]{16,}\.[\w-]{16,}", MASK),
    )
)


def redact(text: str, limit: int) -> str:
    """``text`` without secrets, NULs and lone surrogates, at most ``limit`` characters plus a mark that says what is left out."""
    if len(text) <= WINDOW:
        return _truncated(_masked(text), limit, 0)
    # A 50 MB message must not hold a task up, so it is cut before it is masked. The cut may leave half a secret, which
    # no pattern knows any more; it lies right beside the cut and is dropped with the margin.
    half = WINDOW // 2
    head, tail = _masked(text[:half])[:-MARGIN], _masked(text[-half:])[MARGIN:]
    return _truncated(head + tail, limit, len(text) - 2 * half + 2 * MARGIN, len(head))


def _truncated(text: str, limit: int, left_out: int, cut: int | None = None) -> str:
    if len(text) <= limit and not left_out:
        return text
    head = min(limit // 2, len(text) if cut is None else cut)
    tail = min(limit - limit // 2, len(text) - (head if cut is None else cut))
    left_out += len(text) - head - tail
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{text[len(text) - tail :]}"


def _masked(text: str) -> str:
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    for name in _MASKERS:
        # Each Airflow process has loaded the masker that knows its secrets; one that is not loaded knows none.
        masker = getattr(sys.modules.get(name), "redact", None)
        if callable(masker):
            clean = str(masker(clean))
    own = masking.in_force()
    rules: tuple[_Rule, ...] = (*_PATTERNS, *own.patterns)
    for _, pattern, replacement in rules:
        clean = pattern.sub(_sparing(replacement, own.never_masked) if own.never_masked else replacement, clean)
    return clean


def _sparing(replacement: str | Callable[[Any], str], words: frozenset[str]) -> Callable[[Any], str]:
    """The replacement, but for a value that is one of these words."""

    def replaced(match: Any) -> str:
        whole = str(match.group(0))
        before = str(match.group(1) or "") if match.re.groups else ""
        if whole.removeprefix(before).strip("\"'@ \t") in words:
            return whole
        return str(match.expand(replacement) if isinstance(replacement, str) else replacement(match))

    return replaced


def explain(text: str) -> Iterator[tuple[str, str]]:
    """What would be masked in a text, and by which rule, in the order in which it is done; for the one who typed the text."""
    masked, own = text, masking.in_force()
    rules: tuple[_Rule, ...] = (*_PATTERNS, *own.patterns)
    for name, pattern, replacement in rules:
        put = _sparing(replacement, own.never_masked)
        yield from ((name, found.group(0)) for found in pattern.finditer(masked) if put(found) != found.group(0))
        masked = pattern.sub(put, masked)
