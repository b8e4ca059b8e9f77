"""How one incident reads in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from airflow_oncall.incident import Incident

LOGGED_LINES = 6
"""Lines shown of what an engine logged."""


def print_incident(incident: Incident, whole: Mapping[str, Any]) -> None:
    """The story: what failed, why, what was decided and done, how it ended, and when each thing happened.

    Texts from logs are printed as they are, never read as markup.
    """
    out = Console()
    story = Text(f"{incident.ref}\ntry {incident.try_number}: {incident.detail}")
    out.print(Panel(story, title=f"incident {incident.id}: {incident.state}"))
    if storm := whole["storm"]:
        size = f"{storm['members']} members with one cause, of which {storm['held']} are held: {storm['cause']}"
        role = "it is the probe" if storm["probe_id"] == incident.id else f"its probe is incident {storm['probe_id']}"
        _section(out, f"Member of storm {storm['id']}, which is {storm['state']}", [size, role, storm["detail"]])
    for diagnosis in whole["diagnoses"][-1:]:
        cause = f"Cause: {diagnosis['category']} ({diagnosis['probability']:.0%}, by {diagnosis['decided_by']})"
        _section(out, cause, diagnosis["evidence"])
    for event in whole["logged"]:
        _section(out, f"Logged by {event['source']} at {event['happened_at']:%H:%M:%S}{_how_often(event)}", _logged(event))
    for decision in whole["decisions"]:
        _section(out, f"Decision {decision['number']}: {decision['verdict']} ({decision['action']})", decision["reasons"])
    for action in whole["actions"]:
        by = f", approved by {action['approved_by']}" if action["approved_by"] else ""
        _section(out, f"Action: {action['kind']} of try {action['answers_try']} - {action['state']}{by}", [action["detail"]])
    for outcome in whole["outcomes"]:
        _section(out, f"Outcome: {outcome['kind']}", [outcome["detail"]])
    table = Table("time (UTC)", "who", "what", "detail", title="History")
    for row in whole["history"]:
        table.add_row(f"{row['at']:%H:%M:%S}", *(Text(str(cell)) for cell in (row["actor"], row["what"], row["detail"].get("detail", ""))))
    out.print(table)


def _how_often(event: Mapping[str, Any]) -> str:
    return f", {event['count']} times" if event["count"] > 1 else ""


def _logged(event: Mapping[str, Any]) -> list[str]:
    """What an engine logged, how it is tied to the task instance, the engine's fields, and what the text merely claims."""
    tied = f"{event['correlation']} ({event['probability']:.0%})" if event["correlation"] != "none" else ""
    named = ", ".join(f"{name}={value}" for name, value in event["identifiers"].items())
    claimed = ", ".join(f"{name}={value}" for name, value in event["claimed"].items())
    return [*event["text"].splitlines()[:LOGGED_LINES], tied, named, f"claimed by the text: {claimed}" if claimed else ""]


def _section(out: Console, title: str, lines: Sequence[str]) -> None:
    out.print(Text(title, style="bold"))
    for line in filter(None, lines):
        out.print(Text(f"  {line}"))
