"""The commands about storms."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from airflow_oncall.cli.terminal import command, complain, print_json, this_user
from airflow_oncall.feedback import reason_of
from airflow_oncall.incident import State, Storm, StormState
from airflow_oncall.store import open_store
from airflow_oncall.store.sql import Store


@command
def list_storms(args: argparse.Namespace) -> int:
    """``storms list``"""
    store = open_store()
    found = store.storms.newest(args.limit)
    if args.format == "json":
        print_json([asdict(storm) | {"progress": asdict(store.storms.progress(storm))} for storm in found])
        return 0
    names = ("id", "state", "cause", "members", "held", "probe", "since (UTC)", "last")
    table = Table(*(Column(name, overflow="fold") for name in names), title=f"{len(found)} storm(s)")
    for storm in found:
        table.add_row(*map(Text, _cells(storm)))
    Console().print(table)
    return 0


@command
def release(args: argparse.Namespace) -> int:
    """``storms release``"""
    store = open_store()
    storm = store.storms.get(args.storm_id)
    problem = _problem(store, storm, apart=args.apart) if storm else "there is no such storm; `airflow oncall storms list` shows them"
    if storm is None or problem:
        complain(f"storm {args.storm_id}: {problem}")
        return 1
    user, reason = args.user or this_user(), reason_of(args.reason)
    if args.apart:
        number = store.storms.disband(storm, user, reason)
        print(f"Storm {storm.id} is over; {number} members are decided about by themselves from the next tick on.")
        return 0
    store.storms.probe_again(storm, user, reason)
    print(f"The next probe of storm {storm.id} comes with the next tick; {storm.held} members wait for it.")
    return 0


def _problem(store: Store, storm: Storm, *, apart: bool) -> str:
    """Why it cannot be released; empty where it can."""
    if storm.state is StormState.CLOSED:
        return "it is over"
    if not storm.held:
        return "it holds no member; nothing is left to release"
    if apart:
        return ""
    if storm.state in (StormState.PROBING, StormState.RELEASING):
        return f"it is {storm.state} by itself ({storm.detail}); --apart ends it"
    probe = store.reading.incident(storm.probe_id) if storm.probe_id else None
    if probe and probe.state is State.ASKED:
        return f"the question about incident {probe.id} is open; approve it for another probe"
    return ""


def _cells(storm: Storm) -> list[str]:
    probe = f"incident {storm.probe_id}" if storm.probe_id else ""
    since = f"{storm.opened_at:%Y-%m-%d %H:%M:%S}"
    return [str(storm.id), str(storm.state), storm.cause, str(storm.members), str(storm.held), probe, since, storm.detail]
