"""The Jinja templates of messages: ``subject.txt``, ``body.txt`` and ``body.html`` in ``templates/`` of ``[oncall] include_path``.

An operator's file replaces the shipped one of the same name. One that is wrong is told of, and the shipped one is used:
a message with other words is better than none. All of them run in Jinja's sandbox; HTML is escaped by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from airflow_oncall import conf
from airflow_oncall.act.notify.message import SAMPLES
from airflow_oncall.errors import BadDataFile
from airflow_oncall.inert import inert, one_line

log = logging.getLogger(__name__)

SUBJECT, BODY, HTML = "subject.txt", "body.txt", "body.html"
SUBJECT_CHARACTERS, BODY_CHARACTERS = 200, 20_000
WRONG = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What a template can raise in the sandbox."""


def with_texts(oncall: Mapping[str, Any]) -> dict[str, Any]:
    """What notifiers see as ``oncall``: the facts, and the texts that the templates make of them."""
    subject = one_line(_rendered(SUBJECT, oncall), SUBJECT_CHARACTERS)
    return {**oncall, **plain_texts(subject, inert(_rendered(BODY, oncall), BODY_CHARACTERS)), "html": _rendered(HTML, oncall)}


def plain_texts(subject: str, body: str) -> dict[str, str]:
    """Both as they are, and as Slack takes them: nothing in a name or a log calls anybody."""
    return {"subject": subject, "body": body, "subject_mrkdwn": _mrkdwn(subject), "mrkdwn": _mrkdwn(body)}


def _mrkdwn(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def problems() -> Iterator[BadDataFile]:
    """What is wrong with the operator's own templates."""
    for name in (SUBJECT, BODY, HTML):
        try:
            _in_force(name)
        except BadDataFile as error:
            yield error


def _rendered(name: str, oncall: Mapping[str, Any]) -> str:
    try:
        return _in_force(name).render(oncall=oncall)
    except BadDataFile as error:
        log.error("%s. The shipped %s is used.", error, name)
    except WRONG as error:
        log.error("template %s fails on a message about %s: %s. The shipped one is used.", name, oncall["key"], error)
    return _parsed(conf.shipped_include() / "templates" / name).render(oncall=oncall)


def _in_force(name: str) -> Template:
    """The first template of this name. Raises ``BadDataFile``."""
    for folder in conf.include_paths():
        path = folder / "templates" / name
        if path.is_file():
            return _parsed(path)
    raise BadDataFile(f"templates/{name}", "not found; reinstall, or set [oncall] include_path")


def _parsed(path: Path) -> Template:
    try:
        return _compiled(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataFile(path, f"cannot be read: {error}") from error


@cache
def _compiled(path: str, text: str) -> Template:
    """A template that was seen to work on a message of every kind."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=path.endswith(".html"), trim_blocks=True, lstrip_blocks=True
    )
    try:
        template = environment.from_string(text)
        for sample in SAMPLES:
            template.render(oncall=sample)
    except TemplateSyntaxError as error:
        raise BadDataFile(path, str(error.message), line=error.lineno) from error
    except WRONG as error:
        raise BadDataFile(path, f"fails on a message: {error}") from error
    return template
