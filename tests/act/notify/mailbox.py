"""A real mail server that keeps what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from demo.deployment import free_port


@dataclass
class Mailbox:
    """Takes what it is sent; one that is full takes nothing."""

    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    is_full: bool = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.is_full:
            return "452 no room"
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A mail server that Airflow's connection leads to."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    options = "disable_ssl=true&disable_tls=true&timeout=5&retry_limit=0&from_email=airflow%40example.com"
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{server.port}/?{options}")
    yield mailbox
    server.stop()


def html_of(mail: Message) -> str:
    """The one part there is."""
    (part,) = [one for one in mail.walk() if one.get_content_type() == "text/html"]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def subject_of(mail: Message) -> str:
    return str(make_header(decode_header(mail["Subject"])))
