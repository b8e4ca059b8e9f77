"""The commands as data. Every ``airflow`` command imports this, so nothing heavy loads here."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_oncall.incident import State

_COMMANDS = "airflow_oncall.cli.commands."
REPORT_LINES = 50
"""Incidents that ``report`` shows to people unless told otherwise."""

ARG_STATE = Arg(("--state",), nargs="+", choices=[str(state) for state in State], metavar="STATE", help="only incidents in these states")
ARG_DAG = Arg(("--dag-id",), help="only incidents of this DAG")
ARG_LIMIT = Arg(("--limit",), type=int, default=50, help="at most so many, newest first (default 50)")
ARG_REPORT_LIMIT = Arg(("--limit",), type=int, help=f"at most so many, newest first (default {REPORT_LINES}; with --format json all)")
ARG_ID = Arg(("incident_id",), type=int, metavar="ID", help="number of the incident")
ARG_TEXT = Arg(("--text",), help="classify this text instead of JSON lines on standard input")
ARG_FORMAT = Arg(("--format",), choices=("text", "json"), default="text", help="text for people, json for programs (default text)")

COMMANDS: tuple[CLICommand, ...] = (
    GroupCommand(
        name="db",
        help="The incident store's tables",
        subcommands=(
            ActionCommand(
                name="upgrade",
                help="Create or migrate the tables; safe to repeat",
                func=lazy_load_command(_COMMANDS + "db_upgrade"),
                args=(),
            ),
        ),
    ),
    ActionCommand(
        name="doctor",
        help="Check the installation: each line is ok, or says what is wrong and how to mend it",
        func=lazy_load_command("airflow_oncall.cli.doctor.doctor"),
        args=(),
    ),
    ActionCommand(
        name="list",
        help="Incidents, newest first",
        func=lazy_load_command(_COMMANDS + "list_incidents"),
        args=(ARG_STATE, ARG_DAG, ARG_LIMIT, ARG_FORMAT),
    ),
    ActionCommand(
        name="show",
        help="One incident with its evidence, diagnosis, decisions, actions and history",
        func=lazy_load_command(_COMMANDS + "show_incident"),
        args=(ARG_ID, ARG_FORMAT),
    ),
    ActionCommand(
        name="classify",
        help="Say what is wrong in a log: JSON lines {id, source, text} on standard input, or --text",
        func=lazy_load_command(_COMMANDS + "classify"),
        args=(ARG_TEXT,),
    ),
    ActionCommand(
        name="report",
        help="Incidents with decision, action, outcome and times",
        func=lazy_load_command(_COMMANDS + "report"),
        args=(ARG_REPORT_LIMIT, ARG_FORMAT),
    ),
)


def get_cli_commands() -> list[CLICommand]:
    """``airflow oncall ...``, as Airflow's provider registry wants it."""
    return [GroupCommand(name="oncall", help="Automated on-call: incidents, diagnoses, repairs", subcommands=COMMANDS)]
