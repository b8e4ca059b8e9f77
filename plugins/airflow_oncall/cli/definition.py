"""The commands as data. Every ``airflow`` command imports this, so nothing heavy loads here."""

from __future__ import annotations

from argparse import ArgumentTypeError

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

from airflow_oncall.incident import CATEGORIES, NO_INCIDENT, State

_COMMANDS, _LEARNING, _MODELS, _DATA, _SCANNING = (
    f"airflow_oncall.cli.{name}." for name in ("commands", "learning", "models", "data", "scanning")
)
REPORT_LINES = 50
"""Incidents that ``report`` shows to people unless told otherwise."""


def probability(text: str) -> float:
    """A number from 0 to 1, as an argument's type."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is no number from 0 to 1")
    return value


def days(text: str) -> int:
    """A number of days, a century at most, as an argument's type."""
    return _days(text, least=0)


def days_back(text: str) -> int:
    """As :func:`days`, and at least one, as the API has it: nobody guesses that 0 was today."""
    return _days(text, least=1)


def _days(text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= 36_500:
        raise ArgumentTypeError(f"{text!r} is no number of days from {least} to 36500")
    return int(text)


ARG_STATE = Arg(("--state",), nargs="+", choices=[str(state) for state in State], metavar="STATE", help="only incidents in these states")
ARG_DAG = Arg(("--dag-id",), help="only incidents of this DAG")
ARG_LIMIT = Arg(("--limit",), type=int, default=50, help="at most so many, newest first (default 50)")
ARG_REPORT_LIMIT = Arg(
    ("--limit",), type=int, help=f"list at most so many incidents, newest first (default {REPORT_LINES}; with --format json all)"
)
ARG_ID = Arg(("incident_id",), type=int, metavar="ID", help="number of the incident")
ARG_STORM = Arg(("storm_id",), type=int, metavar="ID", help="number of the storm")
ARG_APART = Arg(
    ("--apart",), action="store_true", help="end the storm: each member that it holds is decided, and asked or told about, by itself"
)
ARG_TEXT = Arg(("--text",), help="classify this text instead of JSON lines on standard input")
ARG_FORMAT = Arg(("--format",), choices=("text", "json"), default="text", help="text for people, json for programs (default text)")
ARG_REPORT_FORMAT = Arg(
    ("--format",), choices=("text", "json", "html"), default="text", help="text or html for people, json for programs (default text)"
)
ARG_STARTER = Arg(("--starter",), action="store_true", help="train from the corpus alone, without search and gate; takes half a minute")
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
    choices=("files", "spark_events", "postgres_files", "spark", "postgres"),
    default="files",
    help="files: text logs. spark_events, in short spark: event logs. postgres_files, in short postgres: server logs (default files)",
)
ARG_PATH = Arg(
    ("path",),
    metavar="PATH",
    help="as `path` in sources.yaml: of files a file or a glob, of spark_events a file or a folder, of postgres_files any of them",
)
ARG_LINES = Arg(("text",), metavar="TEXT", nargs="?", help="lines to try; without it, all of standard input")
ARG_SIGNATURE_ID = Arg(("--id",), dest="signature_id", help="unique name, e.g. shop-ledger-frozen; what is not given is asked for")
ARG_TITLE = Arg(("--title",), help="what happened, for people")
ARG_PATTERN = Arg(("--pattern",), help="regular expression as RE2 takes it; it sees one line")
ARG_SEVERITY = Arg(("--severity",), choices=("FATAL", "ERROR", "WARNING"), default="ERROR", help="how bad it is (default ERROR)")
ARG_MATCH = Arg(("--match",), action="append", metavar="LINE", help="a line that it must find; may be repeated")
ARG_NO_MATCH = Arg(("--no-match",), action="append", metavar="LINE", help="a line that it must not find; may be repeated")

_POLICY = "airflow_oncall.cli.policy."
ARG_POLICY = Arg(("file",), metavar="FILE", nargs="?", help="a policy file (default the one in force)")
ARG_OTHER_POLICY = Arg(("--policy",), dest="file", metavar="FILE", help="decide by this policy file instead of the one in force")
ARG_ABOUT_DAG = Arg(("dag_id",), metavar="DAG_ID", help="DAG of the invented incident")
ARG_ABOUT_TASK = Arg(("task_id",), metavar="TASK_ID", help="its task")
ARG_FOUND = Arg(("category",), choices=CATEGORIES, metavar="CATEGORY", help="category that is found")
ARG_PROBABILITY = Arg(("--probability",), type=probability, default=0.9, metavar="P", help="that the action helps (default 0.9)")
ARG_AT = Arg(("--at",), metavar="TIME", help="decide as at this time, without a zone UTC (default now)")
ARG_WHAT = Arg(("--title",), required=True, help="what failed, e.g. the message of its exception")
ARG_DESCRIPTION = Arg(("--description",), default="", help="more of what is known, e.g. a traceback")
ARG_ITS_DAG = Arg(("--dag-id",), required=True, help="DAG that fails")
ARG_ITS_TASK = Arg(("--task-id",), default="", help="task that fails")
ARG_ITS_LOG = Arg(("--log",), metavar="FILE", help="the task's log")
ARG_EXCEPTION = Arg(
    ("--exception",), action="append", metavar="CLASS", help="class of the exception; repeated for its causes, outermost first"
)
ARG_OPERATOR = Arg(("--operator",), metavar="CLASS", help="operator of the task, e.g. SparkSubmitOperator")
ARG_KILLED = Arg(("--killed",), action="store_true", help="its process vanished without an exception")
ARG_ROUTE = Arg(("--route",), metavar="NAME", help="a route of policy.yaml (default the route default, else [oncall] escalation_notifiers)")

NOTIFY = (
    ActionCommand(
        name="test",
        help="Send a test message to everybody whom a route names, and say what became of it; exit code 1 where one did not go",
        func=lazy_load_command("airflow_oncall.cli.notifying.try_route"),
        args=(ARG_ROUTE, ARG_FORMAT),
    ),
)

POLICY = (
    ActionCommand(
        name="init",
        help="Copy the shipped policy and its schema to [oncall] include_path, to be edited there",
        func=lazy_load_command(_POLICY + "init"),
        args=(),
    ),
    ActionCommand(
        name="check",
        help="Say what is wrong with a policy, and what in a good one may not be meant",
        func=lazy_load_command(_POLICY + "check"),
        args=(ARG_POLICY, ARG_FORMAT),
    ),
    ActionCommand(
        name="explain",
        help="Say what would be decided about a failure, and which line of the policy makes it so",
        func=lazy_load_command(_POLICY + "explain"),
        args=(ARG_ABOUT_DAG, ARG_ABOUT_TASK, ARG_FOUND, ARG_PROBABILITY, ARG_AT, ARG_OTHER_POLICY, ARG_FORMAT),
    ),
)

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

_KNOWLEDGE = "airflow_oncall.cli.knowledge."
ARG_NAME = Arg(("name",), metavar="NAME", help="name of the entry")
ARG_ANY_NAME = Arg(("name",), metavar="NAME", nargs="?", help="only this entry, with its history")
ARG_ONLY_NAME = Arg(("--name",), help="only this entry")
ARG_NAMES = Arg(("names",), metavar="NAME", nargs="+", help="names of proposed entries")
ARG_ONLY_CATEGORY = Arg(("--category",), choices=CATEGORIES, metavar="CATEGORY", help="only entries of this category")
ARG_ONLY_TAG = Arg(("--tag",), help="only entries with this tag")
ARG_PROPOSED = Arg(("--proposed",), action="store_true", help="only entries that wait to be confirmed")
ARG_LOOKED_FOR = Arg(("text",), metavar="TEXT", nargs="?", help="a failure's text; without it, all of standard input")
ARG_BEST = Arg(("--limit",), type=int, default=10, help="at most so many, best first (default 10)")
ARG_KNOWLEDGE_FILE = Arg(("file",), metavar="FILE.json", help="the file, as knowledge.schema.json of the include folder describes it")
ARG_LIKE_INCIDENT = Arg(("--incident",), type=int, metavar="ID", help="take fingerprint, example and category of this incident")
ARG_ADJUSTMENT = Arg(
    ("--confidence-adjustment",),
    type=probability,
    default=1.0,
    metavar="F",
    help="what others believe and saw counts by this factor, from 0 to 1 (default 1)",
)
ARG_REPLACE = Arg(("--replace",), action="store_true", help="replace entries of the same name")
ARG_CONFIRM = Arg(("--confirm",), action="store_true", help="let all of them count at once; without it each has to be confirmed")
ARG_TO = Arg(("--to",), metavar="DATE", required=True, help="a day (its beginning) or a time, without a zone UTC")
ARGS_ENTRY = (
    Arg(("--category",), choices=CATEGORIES, metavar="CATEGORY", help="what is wrong then"),
    Arg(("--fingerprint",), help="fingerprint of such incidents, as `show` gives it"),
    Arg(("--pattern",), help="regular expression as RE2 takes it, found anywhere in the text; upper and lower case are alike"),
    Arg(("--example",), help="text of such a failure; secrets in it are masked"),
    Arg(("--action",), dest="actions", action="append", metavar="ACTION", help="what helps; may be repeated, best first"),
    Arg(("--confidence",), type=probability, metavar="P", help="how likely the first action helps (default 0.7)"),
    Arg(("--notes",), help="for people; secrets in it are masked"),
    Arg(("--runbook",), metavar="URL", help="a page that tells more"),
    Arg(("--tag",), dest="tags", action="append", metavar="TAG", help="to find it by; may be repeated"),
    Arg(("--parent",), metavar="NAME", help="the entry that it is a special case of"),
    ARG_USER,
)

STORMS = (
    ActionCommand(
        name="list",
        help="Storms, newest first, and how each stands",
        func=lazy_load_command("airflow_oncall.cli.storms.list_storms"),
        args=(ARG_LIMIT, ARG_FORMAT),
    ),
    ActionCommand(
        name="release",
        help="Let a storm that waits, was rejected or given up go on with its next probe; or each member by itself",
        func=lazy_load_command("airflow_oncall.cli.storms.release"),
        args=(ARG_STORM, ARG_APART, ARG_REASON, ARG_USER),
    ),
)

KNOWLEDGE = (
    ActionCommand(
        name="list",
        help="Every entry, by name",
        func=lazy_load_command(_KNOWLEDGE + "list_knowledge"),
        args=(ARG_ONLY_CATEGORY, ARG_ONLY_TAG, ARG_PROPOSED, ARG_FORMAT),
    ),
    ActionCommand(
        name="search",
        help="Entries whose pattern fits a text or whose example is like it, best first",
        func=lazy_load_command(_KNOWLEDGE + "search"),
        args=(ARG_LOOKED_FOR, ARG_BEST, ARG_FORMAT),
    ),
    ActionCommand(
        name="add",
        help="Write down what is known about a failure: how it is recognised, what it means, what helps",
        func=lazy_load_command(_KNOWLEDGE + "add"),
        args=(ARG_NAME, ARG_LIKE_INCIDENT, *ARGS_ENTRY),
    ),
    ActionCommand(
        name="edit",
        help="Change an entry; what it was stays in its history",
        func=lazy_load_command(_KNOWLEDGE + "edit"),
        args=(ARG_NAME, *ARGS_ENTRY),
    ),
    ActionCommand(
        name="confirm",
        help="Let proposed entries count",
        func=lazy_load_command(_KNOWLEDGE + "confirm"),
        args=(ARG_NAMES, ARG_USER),
    ),
    ActionCommand(
        name="remove",
        help="Take an entry out, or reject a proposed one; it is not proposed again",
        func=lazy_load_command(_KNOWLEDGE + "remove"),
        args=(ARG_NAME, ARG_USER),
    ),
    ActionCommand(
        name="export",
        help="Write all confirmed entries, with what was seen of them, to a file for others",
        func=lazy_load_command(_KNOWLEDGE + "export"),
        args=(ARG_KNOWLEDGE_FILE,),
    ),
    ActionCommand(
        name="import",
        help="Take over entries of such a file as proposals; exit code 1 where some are left out",
        func=lazy_load_command(_KNOWLEDGE + "import_knowledge"),
        args=(ARG_KNOWLEDGE_FILE, ARG_ADJUSTMENT, ARG_REPLACE, ARG_CONFIRM, ARG_USER),
    ),
    ActionCommand(
        name="stats",
        help="How often what entries recommend was seen to help, and how the confidence in it changed",
        func=lazy_load_command(_KNOWLEDGE + "stats"),
        args=(ARG_ANY_NAME, ARG_FORMAT),
    ),
    ActionCommand(
        name="rollback",
        help="Make the entries what they were on a day; a change like any other, so nothing is lost",
        func=lazy_load_command(_KNOWLEDGE + "rollback"),
        args=(ARG_TO, ARG_ONLY_NAME, ARG_USER),
    ),
)

_EXPERIMENTS = "airflow_oncall.cli.experiments."
ARG_EXPERIMENT = Arg(("name",), metavar="NAME", help="name of the experiment")
ARG_ANY_EXPERIMENT = Arg(("name",), metavar="NAME", nargs="?", help="only this one (default those that run, and the hold-out)")
ARG_ITS_CATEGORY = Arg(("--category",), choices=CATEGORIES, required=True, metavar="CATEGORY", help="failures of this category")
ARG_ITS_FINGERPRINT = Arg(("--fingerprint",), help="only those with this fingerprint, as `show` gives it")
ARG_ARMS = Arg(("--arms",), nargs="+", metavar="ACTION", help="actions that compete (default the rule's own and all its alternatives)")
ARG_ASSIGNMENT = Arg(
    ("--assignment",),
    choices=("hash", "thompson"),
    default="hash",
    help="hash: equal shares. thompson: the more promising an action, the larger its share (default hash)",
)
ARG_DAYS = Arg(("--days",), type=days_back, default=30, help="look back so many days (default 30)")

EXPERIMENTS = (
    ActionCommand(
        name="list",
        help="Every experiment, the newest first",
        func=lazy_load_command(_EXPERIMENTS + "list_experiments"),
        args=(ARG_FORMAT,),
    ),
    ActionCommand(
        name="start",
        help="Let actions compete for the failures of one category; all of the policy's guards stay in force",
        func=lazy_load_command(_EXPERIMENTS + "start"),
        args=(ARG_EXPERIMENT, ARG_ITS_CATEGORY, ARG_ITS_FINGERPRINT, ARG_ARMS, ARG_ASSIGNMENT, ARG_REASON, ARG_USER),
    ),
    ActionCommand(
        name="stop",
        help="End an experiment; the policy's rule decides again",
        func=lazy_load_command(_EXPERIMENTS + "stop"),
        args=(ARG_EXPERIMENT, ARG_REASON, ARG_USER),
    ),
    ActionCommand(
        name="results",
        help="How often each action helped, with intervals and the chance that it is the best; and what repairs gain over none",
        func=lazy_load_command(_EXPERIMENTS + "results"),
        args=(ARG_ANY_EXPERIMENT, ARG_FORMAT),
    ),
)

_PRIVACY = {name: f"airflow_oncall.cli.{name}." for name in ("auditing", "purging", "masking")}
ARG_OLDER = Arg(("--older-than",), type=days, metavar="DAYS", help="what ended or was opened so many days ago (default as the policy says)")
ARG_OF_DAG = Arg(("--dag-id",), required=True, help="the DAG; of log incidents that belong to none, their source")
ARG_CLOSED_ONLY = Arg(("--closed-only",), action="store_true", help="leave alone what a person still has, and what is only looked at")
ARG_DRY_RUN = Arg(("--dry-run",), action="store_true", help="only say how much it would be")
ARG_YES = Arg(("--yes",), action="store_true", help="do not ask")
ARG_OUTPUT = Arg(("--output",), metavar="FILE", help="write it there instead of to standard output")
ARG_ACTOR = Arg(("--actor",), help="only what this person or part of ours did")
ARG_DID = Arg(("--what",), help="only this, e.g. paused")
ARG_OF_INCIDENT = Arg(("--incident",), type=int, metavar="ID", help="only what concerns this incident")
ARG_KNOWN = Arg(("--known",), metavar="HASH", help="a hash that `audit verify` gave earlier; it must still be in the log")
ARG_MASKING = Arg(("file",), metavar="FILE", nargs="?", help="a masking file (default the one in force)")
ARG_MASKED = Arg(("text",), metavar="TEXT", nargs="?", help="text to try; without it, all of standard input")

AUDIT = (
    ActionCommand(
        name="list",
        help="What people and the system did, the newest first",
        func=lazy_load_command(_PRIVACY["auditing"] + "list_audit"),
        args=(ARG_ACTOR, ARG_DID, ARG_OF_INCIDENT, ARG_LIMIT, ARG_FORMAT),
    ),
    ActionCommand(
        name="verify",
        help="Check that no row was changed, removed or inserted; exit code 1 and the first such row where one was",
        func=lazy_load_command(_PRIVACY["auditing"] + "verify"),
        args=(ARG_KNOWN, ARG_FORMAT),
    ),
)

DATA = (
    ActionCommand(
        name="export",
        help="Write everything that is stored about a DAG, as JSON lines",
        func=lazy_load_command(_PRIVACY["purging"] + "export_data"),
        args=(ARG_OF_DAG, ARG_OUTPUT, ARG_USER),
    ),
    ActionCommand(
        name="delete",
        help="Delete everything that is stored about a DAG; exit code 1 where something is being done about it and has to stay",
        func=lazy_load_command(_PRIVACY["purging"] + "delete_data"),
        args=(ARG_OF_DAG, ARG_DRY_RUN, ARG_YES, ARG_USER),
    ),
)

MASKING = (
    ActionCommand(
        name="check",
        help="Say what is wrong with masking.yaml",
        func=lazy_load_command(_PRIVACY["masking"] + "check"),
        args=(ARG_MASKING,),
    ),
    ActionCommand(
        name="test",
        help="Show a text as it would be stored, and which rule masks what",
        func=lazy_load_command(_PRIVACY["masking"] + "test"),
        args=(ARG_MASKED, ARG_FORMAT),
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
        help="Check the installation and its fitness for production: each line is ok, advice, or what is wrong, with what to do",
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
    GroupCommand(name="storms", help="Many failures with one cause, of which one is repaired before the others", subcommands=STORMS),
    ActionCommand(
        name="classify",
        help="Say what is wrong in a log: JSON lines {id, source, text} on standard input, or --text",
        func=lazy_load_command(_COMMANDS + "classify"),
        args=(ARG_TEXT,),
    ),
    ActionCommand(
        name="report",
        help="What failed, what was done about it, what it saved, where it should become better, and the newest incidents",
        func=lazy_load_command("airflow_oncall.cli.reporting.report"),
        args=(ARG_DAYS, ARG_REPORT_LIMIT, ARG_REPORT_FORMAT, ARG_OUTPUT),
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
    ActionCommand(
        name="pause",
        help="The kill switch: nothing is repaired and nobody is asked from the next act on; failures are still noticed and told",
        func=lazy_load_command("airflow_oncall.cli.killswitch.pause"),
        args=(ARG_REASON, ARG_USER),
    ),
    ActionCommand(
        name="resume",
        help="Let repairs go on; exit code 1 where the Airflow Variable oncall_paused still stops them",
        func=lazy_load_command("airflow_oncall.cli.killswitch.resume"),
        args=(ARG_USER,),
    ),
    GroupCommand(name="policy", help="What may be done about which failure", subcommands=POLICY),
    GroupCommand(name="notify", help="How people are told", subcommands=NOTIFY),
    ActionCommand(
        name="simulate-incident",
        help="Run rules, models and policy on an invented incident: what would be done, and why; nothing is stored",
        func=lazy_load_command("airflow_oncall.cli.simulating.simulate"),
        args=(
            *(ARG_WHAT, ARG_DESCRIPTION, ARG_ITS_DAG, ARG_ITS_TASK, ARG_ITS_LOG, ARG_EXCEPTION, ARG_OPERATOR, ARG_KILLED),
            *(ARG_AT, ARG_OTHER_POLICY, ARG_FORMAT),
        ),
    ),
    GroupCommand(name="patterns", help="Signatures: expressions that find trouble in logs", subcommands=PATTERNS),
    GroupCommand(name="experiments", help="Which of several actions helps most, measured", subcommands=EXPERIMENTS),
    ActionCommand(
        name="shadow-report",
        help="What would have been done in mode shadow, how often it would have been right, what it would have saved",
        func=lazy_load_command("airflow_oncall.cli.shadow.shadow"),
        args=(ARG_DAYS, ARG_FORMAT),
    ),
    GroupCommand(name="knowledge", help="What is known about failures: what they mean and what helps", subcommands=KNOWLEDGE),
    ActionCommand(
        name="purge",
        help="Delete old incidents with all that belongs to them, but none that something is being done about",
        func=lazy_load_command(_PRIVACY["purging"] + "purge"),
        args=(ARG_OLDER, ARG_DAG, ARG_CLOSED_ONLY, ARG_DRY_RUN, ARG_YES, ARG_USER),
    ),
    GroupCommand(name="data", help="What is stored about a DAG: hand it out, delete it", subcommands=DATA),
    GroupCommand(name="audit", help="Who did what, in a log that shows when it was changed", subcommands=AUDIT),
    GroupCommand(name="masking", help="What is masked before it is stored", subcommands=MASKING),
)


def get_cli_commands() -> list[CLICommand]:
    """``airflow oncall ...``, as Airflow's provider registry wants it."""
    return [GroupCommand(name="oncall", help="Automated on-call: incidents, diagnoses, repairs", subcommands=COMMANDS)]
