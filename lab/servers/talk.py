"""Services of few words: line protocols (SMTP, FTP), Redis and MySQL; all say what the scenario at hand tells them."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import Any

_PLUGIN = b"mysql_native_password\x00"
_END = b"\xfe\x00\x00\x02\x00"
_OK = b"\x00\x00\x00\x02\x00\x00\x00"


class Talks:
    """What each protocol says in the scenario at hand."""

    def __init__(self) -> None:
        self._told: Mapping[str, Any] = {}

    def tell(self, told: Mapping[str, Any]) -> None:
        """``lines: {greeting, WORD: answer}``, ``redis: {COMMAND: reply}``, ``mysql: {at, code, state, message}``."""
        self._told = told

    def lines(self, connection: socket.socket) -> None:
        """A greeting, then one answer a line by its first word; ``""`` hangs up."""
        told = self._told.get("lines", {})
        connection.sendall(f"{told.get('greeting', '220 ready')}\r\n".encode())
        with connection.makefile("rb") as reader:
            for line in reader:
                word = line.split()[0].decode("ascii", "replace").upper() if line.strip() else ""
                answer = told.get(word, "221 Bye" if word == "QUIT" else "250 OK")
                if not answer:
                    return
                connection.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")

    def redis(self, connection: socket.socket) -> None:
        """Replies as RESP writes them (``-ERR ...``, ``+OK``, ``:1``), by command; ``+OK`` to all else."""
        told = self._told.get("redis", {})
        with connection.makefile("rb") as reader:
            for command in _commands(reader):
                connection.sendall(told.get(command, "%0" if command == "HELLO" else "+OK").encode() + b"\r\n")

    def mysql(self, connection: socket.socket) -> None:
        """Refuse the login (``at: login``), or the statements that match ``at``; agree to all else."""
        told = self._told.get("mysql", {})
        with connection.makefile("rb") as reader:
            connection.sendall(_packet(0, _refusal(told) if told.get("at") == "connect" else _greeting()))
            number, _login = _read(reader)
            connection.sendall(_packet(number + 1, _refusal(told) if told.get("at") == "login" else _OK))
            while True:
                number, said = _read(reader)
                statement = said[1:].decode("utf-8", "replace")
                if re.search(str(told.get("at", "(?!)")), statement):
                    connection.sendall(_packet(number + 1, _refusal(told)))
                elif re.match("SELECT|SHOW", statement):
                    connection.sendall(_table(number + 1, _fact(statement)))
                else:
                    connection.sendall(_packet(number + 1, _OK))


def _commands(reader: BufferedReader) -> Iterator[str]:
    while head := reader.readline():
        words = [reader.read(int(reader.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
        yield words[0].decode().upper()


def _greeting() -> bytes:
    capabilities = 0x00000200 | 0x00008000 | 0x00080000 | 0x00000008 | 0x00002000
    return (
        b"\x0a8.0.36\x00" + struct.pack("<I", 41) + b"abcdefgh\x00" + struct.pack("<H", capabilities & 0xFFFF) + b"\x2d\x02\x00"
        + struct.pack("<H", capabilities >> 16) + bytes([21]) + bytes(10) + b"ijklmnopqrst\x00" + _PLUGIN
    )  # fmt: skip


def _refusal(told: Mapping[str, Any]) -> bytes:
    return b"\xff" + struct.pack("<H", int(told["code"])) + f"#{told.get('state', 'HY000')}{told['message']}".encode()


def _fact(statement: str) -> bytes:
    """What clients ask a server about itself."""
    facts = {"VERSION()": b"8.0.36", "isolation": b"REPEATABLE-READ"}
    return next((fact for word, fact in facts.items() if word in statement), b"0")


def _table(number: int, first: bytes) -> bytes:
    """One row: the answer where one column is asked for, or a variable's name and its value, 0."""
    column = b"\x03def" + bytes(4) + b"\x01a\x0c" + struct.pack("<HIBHB", 45, 255, 253, 0, 0) + bytes(2)
    packets = (b"\x02", column, column, _END, bytes([len(first)]) + first + b"\x010", _END)
    return b"".join(_packet(number + one, packet) for one, packet in enumerate(packets))


def _packet(number: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload


def _read(reader: BufferedReader) -> tuple[int, bytes]:
    head = reader.read(4)
    if len(head) < 4:
        raise ConnectionError("the client left")
    return head[3], reader.read(int.from_bytes(head[:3], "little"))
