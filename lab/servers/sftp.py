"""An SFTP server; runs in the lab's own environment. ``python sftp.py STATE`` prints its port and reads STATE at every connection.

STATE is JSON: ``{"password": "...", "files": {"/path": "content"}, "deny": ["/path"], "full": true}``. Users may be anybody.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-not-found,import-untyped,unused-ignore]

KEY = paramiko.RSAKey.generate(2_048)


class Login(paramiko.ServerInterface):  # type: ignore[misc]
    """Any user with the one password."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def check_auth_password(self, username: str, password: str) -> Any:
        """Compare."""
        return paramiko.AUTH_SUCCESSFUL if password == self.state.get("password") else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        """How one may log in."""
        return str(self.state.get("auths", "password"))

    def check_channel_request(self, kind: str, chanid: int) -> Any:
        """Sessions only."""
        return paramiko.OPEN_SUCCEEDED if self.state.get("channels", True) else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Handle(paramiko.SFTPHandle):  # type: ignore[misc]
    """A file in memory, on a disk that may be full."""

    def __init__(self, state: dict[str, Any], path: str, content: bytes) -> None:
        super().__init__()
        self.state, self.path, self.readfile = state, path, io.BytesIO(content)

    def stat(self) -> Any:
        """Its size."""
        return _attributes(self.readfile.getvalue())

    def write(self, offset: int, data: bytes) -> Any:
        """Keep it, if there is room."""
        return paramiko.SFTP_FAILURE if self.state.get("full") else paramiko.SFTP_OK


class Files(paramiko.SFTPServerInterface):  # type: ignore[misc]
    """The files of STATE."""

    def __init__(self, server: Login) -> None:
        self.state = server.state
        self.files: dict[str, str] = server.state.get("files", {})

    def stat(self, path: str) -> Any:
        """A file's or an error."""
        return _attributes(self.files[path].encode()) if path in self.files else paramiko.SFTP_NO_SUCH_FILE

    lstat = stat

    def list_folder(self, path: str) -> Any:
        """Names under a path."""
        found = [_attributes(text.encode(), name.rpartition("/")[2]) for name, text in self.files.items() if name.startswith(path)]
        return found or paramiko.SFTP_NO_SUCH_FILE

    def open(self, path: str, flags: int, attr: Any) -> Any:
        """A handle or an error."""
        if path in self.state.get("deny", []):
            return paramiko.SFTP_PERMISSION_DENIED
        if path not in self.files and not flags & 0x40:
            return paramiko.SFTP_NO_SUCH_FILE
        return Handle(self.state, path, self.files.get(path, "").encode())

    def mkdir(self, path: str, attr: Any) -> Any:
        """Refused where told."""
        return paramiko.SFTP_PERMISSION_DENIED if path in self.state.get("deny", []) else paramiko.SFTP_OK


def _attributes(content: bytes, name: str = "") -> Any:
    made = paramiko.SFTPAttributes()
    made.st_size, made.st_mode, made.filename = len(content), 0o100644, name
    return made


def serve(connection: socket.socket, state: dict[str, Any]) -> None:
    """One connection."""
    transport = paramiko.Transport(connection)
    transport.local_version = "SSH-2.0-OpenSSH_9.6"
    transport.add_server_key(KEY)
    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
    try:
        transport.start_server(server=Login(state))
    except (paramiko.SSHException, EOFError):
        transport.close()


def main() -> None:
    """See the module."""
    logging.disable()
    state = Path(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, json.loads(state.read_text(encoding="utf-8"))), daemon=True).start()


if __name__ == "__main__":
    main()
