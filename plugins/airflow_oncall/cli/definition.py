"""The commands as data. Every ``airflow`` command imports this, so nothing heavy loads here."""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_oncall.incident import CATEGORIES, NO_INCIDENT, State

_COMMANDS, _LEARNING, _MODELS, _DATA, _SCANNING = (
    f"airflow_oncall.cli.{name}." for name in ("commands", "learning", "models", "data", "scanning")
)
REPORT_LINES = 50
"""Incidents that ``report`` shows to people unless told otherwise."""

ARG_STATE = Arg(("--state",), nargs="+", choices=[str(state) for state in State], metavar="STATE", help="only incidents in these states")
ARG_DAG = Arg(("--dag-id",), help="only incidents of this DAG")
ARG_LIMIT = Arg(("--limit",), type=int, default=50, help="at most so many, newest first (default 50)")
ARG_REPORT_LIMIT = Arg(("--limit",), type=int, help=f"at most so many, newest first (default {REPORT_LINES}; with --format json all)")
ARG_ID = Arg(("incident_id",), type=int, metavar="ID", help="number of the incident")
ARG_TEXT = Arg(("--text",), help="classify this text instead of JSON lines on standard input")
ARG_FORMAT = Arg(("--format",), choices=("text", "json"), default="text", help="text for people, json for programs (default text)")
ARG_STARTER = Arg(("--starter",), action="store_true", help="train from the corpus alone, without search and gate; takes seconds")
ARG_FORCE = Arg(("--force",), action="store_true", help="train though nothing is new since the last training")
ARG_DATA = Arg(("--data",), metavar="FILE", help="labelled failures, .jsonl or .csv with text and category (also, transient)")
ARG_INTERACTIVE = Arg(
    ("--interactive",), action="store_true", help="type or paste texts, see each diagnosis with what carried it, say what is right"
)
ARG_ANSWERS = Arg(("--answers",), metavar="FILE", help="keep right answers here (default corpus/feedback.jsonl of [oncall] include_path)")
ARG_CATEGORY = Arg(("--category",), choices=(*CATEGORIES, NO_INCIDENT), metavar="CATEGORY", help="the true category")
ARG_ACTION_CORRECT = Arg(("--action-correct",), choices=("yes", "no"), help="whether the newest decision was right")
ARG_FALSE_POSITIVE = Arg(("--false-positive",), action="store_true", help="there was no failure")
ARG_COMMENT = Arg(("--comment",), default="", help="anything else; secrets in it are masked")
ARG_USER = Arg(("--user",), help="who says so (default the user of this shell)")
ARG_LOG = Arg(("--text",), help="the text; without it, all of standard input")
ARG_VERSION = Arg(("version",), metavar="VERSION", help="a version that `models list` shows")
ARG_ANY_VERSION = Arg(("version",), metavar="VERSION", nargs="?", help="a version that `models list` shows (default the champion)")
ARG_REASON = Arg(("--reason",), help="kept with your name in the audit log")
ARG_ARCHIVE = Arg(("file",), metavar="FILE", help="the archive, .zip")
ARG_LABELLED = Arg(("file",), metavar="FILE", help="labelled failures, .jsonl or .csv with text and category")
ARG_CLEAN = Arg(("--clean",), metavar="OUT", help="write the rows that are fit, mended and with secrets masked, to this .jsonl or .csv")
ARG_INCIDENTS = Arg(
    ("file",),
    metavar="FILE.csv",
    help="columns timestamp, title, description; optional service, severity, resolution_time, solution, tags, success, category, transient",
)
ARG_SOURCE = Arg(
    ("--source",),
    choices=("files", "spark", "postgres"),
    default="files",
    help="files: text logs. spark: event logs. postgres: server logs (default files)",
)
ARG_PATH = Arg(("path",), metavar="PATH", help="a file, a folder or a glob, as sources.yaml takes it")
ARG_LINES = Arg(("text",), metavar="TEXT", nargs="?", help="lines to try; without it, all of standard input")
ARG_SIGNATURE_ID = Arg(("--id",), dest="signature_id", help="unique name, e.g. shop-ledger-frozen; what is not given is asked for")
ARG_TITLE = Arg(("--title",), help="what happened, for people")
ARG_PATTERN = Arg(("--pattern",), help="regular expression as RE2 takes it; it sees one line")
ARG_SEVERITY = Arg(("--severity",), choices=("FATAL", "ERROR", "WARNING"), default="ERROR", help="how bad it is (default ERROR)")
ARG_MATCH = Arg(("--match",), action="append", metavar="LINE", help="a line that it must find; may be repeated")
ARG_NO_MATCH = Arg(("--no-match",), action="append", metavar="LINE", help="a line that it must not find; may be repeated")

PATTERNS = (
    ActionCommand(
        name="test",
        help="Say which signatures find which of these lines; exit code 1 where none does",
        func=lazy_load_command(_SCANNING + "test_patterns"),
        args=(ARG_LINES,),
    ),
    ActionCommand(
        name="add",
        help="Add a signature of your own to signatures/site.yaml of [oncall] include_path, after trying it on its lines",
        func=lazy_load_command(_SCANNING + "add_pattern"),
        args=(ARG_SIGNATURE_ID, ARG_TITLE, ARG_SEVERITY, ARG_PATTERN, ARG_MATCH, ARG_NO_MATCH),
    ),
)

MODELS = (
    ActionCommand(
        name="list",
        help="Every version with its state and figures, the newest first",
        func=lazy_load_command(_MODELS + "list_models"),
        args=(ARG_FORMAT,),
    ),
    ActionCommand(
        name="info",
        help="The card of one version; as json everything that is registered of it",
        func=lazy_load_command(_MODELS + "model_info"),
        args=(ARG_ANY_VERSION, ARG_FORMAT),
    ),
    ActionCommand(
        name="verify",
        help="Compare every file of every version with its registered SHA-256, without loading any",
        func=lazy_load_command(_MODELS + "verify_models"),
        args=(ARG_FORMAT,),
    ),
    ActionCommand(
        name="promote",
        help="Make a version champion, after loading it once; running triage takes it up without a restart",
        func=lazy_load_command(_MODELS + "promote_model"),
        args=(ARG_VERSION, ARG_REASON),
    ),
    ActionCommand(
        name="rollback",
        help="Withdraw the champion; its predecessor reigns again",
        func=lazy_load_command(_MODELS + "roll_back"),
        args=(ARG_REASON,),
    ),
    ActionCommand(
        name="export",
        help="Write a version with its card and figures to an archive, e.g. as a backup",
        func=lazy_load_command(_MODELS + "export_model"),
        args=(ARG_VERSION, ARG_ARCHIVE),
    ),
    ActionCommand(
        name="import",
        help="Put an exported version back; only files that this store registered itself are taken",
        func=lazy_load_command(_MODELS + "import_model"),
        args=(ARG_ARCHIVE,),
    ),
)

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
    ActionCommand(
        name="feedback",
        help="Say what was true of an incident; training learns from it",
        func=lazy_load_command(_LEARNING + "feedback"),
        args=(ARG_ID, ARG_CATEGORY, ARG_ACTION_CORRECT, ARG_FALSE_POSITIVE, ARG_COMMENT, ARG_USER),
    ),
    ActionCommand(
        name="train",
        help="Train as the weekly DAG does: collect, validate, train, evaluate, gate, promote",
        func=lazy_load_command(_LEARNING + "train"),
        args=(ARG_STARTER, ARG_FORCE, ARG_FORMAT),
    ),
    ActionCommand(
        name="evaluate",
        help="Measure rules alone, models alone and the ladder of both on labelled failures, or ask about texts one by one",
        func=lazy_load_command(_LEARNING + "evaluate"),
        args=(ARG_DATA, ARG_INTERACTIVE, ARG_ANSWERS, ARG_FORMAT),
    ),
    GroupCommand(name="models", help="Learned models and which of them reigns", subcommands=MODELS),
    ActionCommand(
        name="test-features",
        help="Show what triage reads in a text, and whether the table scorer answers as the pickle does",
        func=lazy_load_command(_LEARNING + "show_features"),
        args=(ARG_LOG, ARG_FORMAT),
    ),
    ActionCommand(
        name="validate-data",
        help="Check a file of labelled failures row by row; exit code 1 where something is wrong and --clean is not given",
        func=lazy_load_command(_DATA + "validate_data"),
        args=(ARG_LABELLED, ARG_CLEAN, ARG_FORMAT),
    ),
    ActionCommand(
        name="import-incidents",
        help="Learn from incidents that another tool kept: they become rows of the corpus in [oncall] include_path",
        func=lazy_load_command(_DATA + "import_incidents"),
        args=(ARG_INCIDENTS, ARG_FORMAT),
    ),
    ActionCommand(
        name="scan",
        help="Show what would become incidents of a log, and store nothing",
        func=lazy_load_command(_SCANNING + "scan"),
        args=(ARG_SOURCE, ARG_PATH, ARG_FORMAT),
    ),
    GroupCommand(name="patterns", help="Signatures: expressions that find trouble in logs", subcommands=PATTERNS),
)


def get_cli_commands() -> list[CLICommand]:
    """``airflow oncall ...``, as Airflow's provider registry wants it."""
    return [GroupCommand(name="oncall", help="Automated on-call: incidents, diagnoses, repairs", subcommands=COMMANDS)]
