"""``pause`` and ``resume``: the kill switch by command line."""

from __future__ import annotations

import argparse

from airflow_oncall.act import killswitch
from airflow_oncall.cli.terminal import command, this_user
from airflow_oncall.feedback import reason_of
from airflow_oncall.store import open_store


@command
def pause(args: argparse.Namespace) -> int:
    """``pause``"""
    open_store().switch.pause(args.user or this_user(), reason_of(args.reason))
    print("Repairs and questions are paused; `airflow oncall resume` lets them go on.")
    return 0


@command
def resume(args: argparse.Namespace) -> int:
    """``resume``"""
    store = open_store()
    ended = store.switch.resume(args.user or this_user())
    print(f"The pause by {ended.by} is over." if ended else "The command line had paused nothing.")
    still = killswitch.why_paused(store)
    if still:
        print(f"{still}; delete it in Airflow under Admin, Variables.")
        return 1
    print("Repairs go on.")
    return 0
