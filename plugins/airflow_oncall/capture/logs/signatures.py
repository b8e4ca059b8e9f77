"""Signatures: expressions that say "this line is trouble". What kind of trouble is triage's business.

They are data: ``include/oncall/signatures/*.yaml``, the operator's file of a name before the shipped one. Expressions are RE2's,
upper and lower case differ unless they begin with ``(?i)``, and they see one line at a time.
"""

from __future__ import annotations

import logging
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from airflow_oncall.datafile import parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.store.operator_files import OperatorFiles

log = logging.getLogger(__name__)

FOLDER = "signatures"
SITE = f"{FOLDER}/site.yaml"
"""The operator's own signatures, where ``patterns add`` writes; they name a record before any shipped one does."""
MEMORY = 64 << 20
"""Bytes that one of RE2's automata may grow to; it grows only with what the texts need, and begins anew when it is full."""

_NOT_RE2 = (
    (r"\(\?<?[=!]", "look-around is not allowed: write what the line holds, and tell what it must not hold by a narrower expression"),
    (r"invalid escape sequence: \\\d|\(\?P$|\(\?P=", "a back reference is not allowed: write the repeated part out"),
    (r"\(\?>|[+*?}]\+", "atomic groups and possessive counts are not needed: RE2 never backtracks"),
    (r"invalid escape sequence: \\Z", r"\Z is not known: write $, each line is matched alone"),
    (r"\(\?\(", "a conditional is not allowed: write two signatures"),
    (r"repetition size", "counts go up to 1000"),
)


def compiled(pattern: str) -> Any:
    """``pattern`` for lines of bytes. Raises ``ValueError`` that quotes what RE2 does not take and says what to write instead."""
    import re2

    try:
        return re2.compile(f"(?m){pattern}".encode(), line_options())
    except re2.error as error:
        told = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        help_ = next((text for sign, text in _NOT_RE2 if re.search(sign, told)), "see https://github.com/google/re2/wiki/Syntax")
        raise ValueError(f"{told!r} in {pattern!r}: {help_}") from error


def line_options() -> Any:
    """RE2's options for log lines: bytes in any encoding, and no match reaches over the end of a line."""
    import re2

    options = re2.Options()
    options.encoding, options.never_nl = re2.Options.Encoding.LATIN1, True
    options.log_errors, options.max_mem = False, MEMORY
    return options


def _expression(pattern: str) -> str:
    if compiled(pattern).search(b""):
        raise ValueError(f"{pattern!r} matches an empty line, so it would match every line")
    return pattern


def _one_line(line: str) -> str:
    if "\n" in line or not line.strip():
        raise ValueError("must be one line of text; several lines are several entries of the list")
    return line


_Line = Annotated[str, AfterValidator(_one_line)]


class Signature(BaseModel):
    """One kind of line that is trouble."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    """Unique over all files; it stands on every incident that the signature finds."""
    title: str = Field(min_length=1, max_length=120)
    """What happened, for people."""
    severity: Literal["FATAL", "ERROR", "WARNING"] = "ERROR"
    generic: bool = False
    """It says only that something is wrong; another signature of the same record names it."""
    mentioned: bool = False
    """Healthy programs mention it too: what they say at INFO, PostgreSQL at LOG, is no trouble then, nor what they warn of and go on."""
    pattern: Annotated[str, AfterValidator(_expression)]
    match: list[_Line] = Field(min_length=1)
    """Lines that it must find."""
    no_match: list[_Line] = Field(min_length=1)
    """Lines that look alike and that it must not find."""
    engine: str = ""
    """Who writes such lines; said once per file."""

    @field_validator("match", "no_match")
    @classmethod
    def _check(cls, lines: list[str], info: ValidationInfo) -> list[str]:
        pattern, wanted = info.data.get("pattern", ""), info.field_name == "match"
        for line in lines if pattern else ():  # else it was refused already
            if bool(compiled(pattern).search(line.encode())) != wanted:
                raise ValueError(f"{line!r} is {'not found' if wanted else 'found'} by {pattern!r}, and must {'' if wanted else 'not '}be")
        return lines


class SignatureFile(BaseModel):
    """One file: who writes the lines, and the signatures that know them."""

    model_config = ConfigDict(extra="forbid")

    engine: str = Field(min_length=1, max_length=40)
    signatures: list[Signature] = Field(min_length=1)


def parse_signatures(name: str, text: str) -> tuple[Signature, ...]:
    """The signatures of one file. Raises ``BadDataFile`` with its line and field, also where a signature fails its own lines."""
    read = parse(SignatureFile, name, text)
    return tuple(one.model_copy(update={"engine": read.engine}) for one in read.signatures)


def read_signatures(files: OperatorFiles) -> tuple[Signature, ...]:
    """Every signature in force; of two with one id the operator's stays.

    A wrong file is logged and its last good version used; where there never was one, the other files are used without it.
    """
    names = sorted(files.names(FOLDER, ".yaml"), key=lambda name: (name != SITE, name))
    found: dict[str, Signature] = {}
    for name in names:
        try:
            read = files.read(name, parse_signatures)
        except BadDataFile as error:
            log.error("%s. Its signatures are not in force.", error)
            continue
        for one in read:
            if found.setdefault(one.id, one) is not one:
                log.error("%s: signature %r is taken by another file; this one is left out", name, one.id)
    return tuple(found.values())
