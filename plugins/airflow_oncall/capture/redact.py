"""Masks secrets in text evidence: Airflow's own masker for the secrets it knows, patterns for the ones it cannot know.

Rather one word too many is masked than one secret stored. Every pattern takes linear time: repetitions are either
bounded or the last thing that is matched, so that a hostile message cannot stall a task.
"""

from __future__ import annotations

import re
import sys

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
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # A text may begin or end inside a key: a missing BEGIN or END reaches to that end of the text.
        (r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.)*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)", MASK),
        (r"\A(?s:.)*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", MASK),
        (r"(?i)(\bAWS4-HMAC-SHA256|\b(?:set-)?cookie\b[\"']?\s{0,4}[:=])[^\n]+", rf"\1 {MASK}"),
        # scheme://user:password@host; the password may hold one raw @, and ends before the next URL.
        (r"(://[^\s:/@]{0,128}:)(?:(?!://)[^\s@])+(?:@[^\s@/:,]{1,128}(?=@))?@", rf"\1{MASK}@"),
        (r"(://)[^\s:/@]{20,256}@", rf"\1{MASK}@"),
        (rf"(?i)({_KEY}[\w.-]{{0,32}}\\{{0,3}}[\"']?[ \t]{{0,4}}(?:=>|:=|==|=|:|>)[ \t]{{0,4}}){_VALUE}", rf"\1{MASK}"),
        # Command lines, SQL, and pairs that are no mapping.
        (r"(?i)((?<!\S)--?(?:pass(?:word|wd|phrase)?|\*{3})[ \t]{1,4})\S+", rf"\1{MASK}"),
        (r"(?i)((?<!\S)(?:-u|--user)[ =]?[\w.@-]{1,128}:)\S+", rf"\1{MASK}"),
        (r"(?i)(\b(?:thin:|sqlplus[ \t]{1,4}(?:-\w{1,8}[ \t]{1,4}){0,3})[\w$#]{1,128}/)[^\s@]+", rf"\1{MASK}"),
        (r"(?i)(\bidentified[ \t]{1,4}by[ \t]{1,4}(?:values[ \t]{1,4})?)(?:'(?:[^'\n]|'')*|\"[^\"\n]*|[^\s;]+)", rf"\1{MASK}"),
        (rf"(?i)([\"']{_KEY}[\w.-]{{0,32}}[\"'][ \t]{{0,4}},[ \t]{{0,4}})[\"'](?:[^\"'\\\n]|\\.)*", rf"\1{MASK}"),
        (
            r"(?i)(\b(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|signature|sig)=)[\w%+/=.~-]+",
            rf"\1{MASK}",
        ),
        (r"(?i)(\bbearer\s{1,4})[\w.~+/=-]{8,}", rf"\1{MASK}"),
        (r"(?i)(\bbasic\s{1,4})(?=[a-z+/]{0,400}[0-9=])[\w+/=-]{8,}", rf"\1{MASK}"),
        (r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}", MASK),  # JWT
        (r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", MASK),
        (
            r"(?<![\w+/=.-])(?=[\w+/]{0,39}[a-z])(?=[\w+/]{0,39}[A-Z])(?=[\w+/]{0,39}[0-9])[A-Za-z0-9+/]{40}(?![\w+/=])",
            MASK,
        ),  # AWS secret key
        (r"AIza[\w-]{35}|ya29\.[\w.-]+", MASK),
        (r"xox[a-z]{1,2}-[\w-]{8,}|xapp-[\w-]{8,}|(?<=hooks\.slack\.com/services/)[\w/]+", MASK),
        (r"gh[pousr]_\w{16,}|github_pat_\w{16,}|gl[a-z]{2,5}-[\w.-]{16,}", MASK),
        (r"dapi[0-9a-f]{32}(?:-\d+)?|pd(?:us|eu)\+_[\w-]+|(?<!\w)u\+[\w-]{18}(?!\w)", MASK),
        (r"\bsk[-_][\w-]{16,}|\bhf_\w{16,}|\bhvs\.[\w-]{16,}|\bnpm_\w{16,}|\bSG\.[\w-]{16,}\.[\w-]{16,}", MASK),
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
    for pattern, replacement in _PATTERNS:
        clean = pattern.sub(replacement, clean)
    return clean
