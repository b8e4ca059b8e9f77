"""A really full (or read-only) disk for the script that asks: a tmpfs in a mount namespace that ends with the process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

REFUSAL = "this kernel gives no small disk"
"""What the script says where it cannot have one."""
_NEW_NAMESPACE, _NEW_USER, _PRIVATE, _READ_ONLY = 0x20000, 0x10000000, 0x44000, 0x1
_libc = ctypes.CDLL(None, use_errno=True)


def mount(folder: str, options: str = "size=256k", *, read_only: bool = False) -> None:
    """Put a tmpfs on ``folder`` (made when missing). Needs root, or a kernel that gives users namespaces of their own."""
    os.makedirs(folder, exist_ok=True)
    _own_namespace()
    _check(_libc.mount(b"none", b"/", None, _PRIVATE, None))
    _check(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", _READ_ONLY if read_only else 0, f"mode=1777,{options}".encode()))


def _own_namespace() -> None:
    if _libc.unshare(_NEW_NAMESPACE) == 0:
        return
    user, group = os.getuid(), os.getgid()
    _check(_libc.unshare(_NEW_NAMESPACE | _NEW_USER))
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path(f"/proc/self/{name}").write_text(line, encoding="ascii")


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{REFUSAL}: {os.strerror(number)}")
