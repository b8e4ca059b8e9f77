"""Rule files -> :class:`~airflow_oncall.triage.rules.RuleBook`. Every error names the file, the line and the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from airflow_oncall.errors import BadDataFile
from airflow_oncall.incident import CATEGORIES, NO_INCIDENT
from airflow_oncall.triage.features import read_features
from airflow_oncall.triage.rules import TRANSIENT, Rule, RuleBook

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REQUIRED = ("id", "category", "test")
_DEFAULT_PROBABILITY = 0.95


def parse_rules(texts: Mapping[str, str]) -> RuleBook:
    """Rules of all files (name -> YAML text), in the order given. Raises :class:`BadDataFile` at the first error.

    A file is a list of mappings: ``id``, ``category`` (or ``none``: such a line is no failure), ``test`` (lines that must
    make it fire), at least one of ``exceptions``, ``codes`` and ``patterns`` (regular expressions, case ignored), and
    optionally ``probability``, ``transient`` (else the category's), ``helps`` (probability that a re-run can help, in place of
    the models' word), ``service``, ``source`` (regular expression of the logger) and ``quiet`` (fires on lines logged as information, too).
    """
    rules: dict[str, Rule] = {}
    entries: list[_Entry] = []
    for path, text in texts.items():
        for node in _rule_nodes(path, text):
            entry = _Entry(path, node)
            rule = entry.rule()
            if rule.id in rules:
                raise entry.error("id", f"{rule.id!r} is taken by another rule; ids are unique over all files")
            rules[rule.id] = rule
            entries.append(entry)
    book = RuleBook(tuple(rules.values()))
    for entry in entries:
        entry.check_tests(book)
    return book


def _rule_nodes(path: str, text: str) -> list[yaml.MappingNode]:
    try:
        root = yaml.compose(text.replace("\x00", "?"), Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadDataFile(path, f"not YAML: {getattr(error, 'problem', error)}", line=mark.line + 1 if mark else None) from error
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise BadDataFile(path, "must be a list of rules, each starting with '- id: ...'", line=root.start_mark.line + 1)
    for node in root.value:
        if not isinstance(node, yaml.MappingNode):
            raise BadDataFile(path, f"{node.value!r} is no rule; each starts with '- id: ...'", line=node.start_mark.line + 1)
    return list(root.value)


class _Entry:
    """One rule of a file, with the lines of its fields."""

    def __init__(self, path: str, node: yaml.MappingNode) -> None:
        self.path = path
        self.start = node.start_mark.line + 1
        self.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
        maker = yaml.SafeLoader("")
        self.values: dict[str, Any] = {str(key.value): maker.construct_object(value, deep=True) for key, value in node.value}

    def error(self, field: str, problem: str) -> BadDataFile:
        return BadDataFile(self.path, problem, line=self.lines.get(field, self.start), field=field)

    def rule(self) -> Rule:
        for field in self.values:
            if field not in _FIELDS:
                raise self.error(field, f"unknown; a rule has {', '.join(_FIELDS)}")
        for field in _REQUIRED:
            if field not in self.values:
                raise self.error(field, "missing")
        given = {field: _FIELDS[field](self, field) for field in self.values}
        if not any(given.get(field) for field in ("exceptions", "codes", "patterns")):
            raise self.error("patterns", "missing; a rule needs exceptions, codes or patterns")
        category = given["category"]
        return Rule(
            id=given["id"],
            category=category,
            transient=given.get("transient", TRANSIENT.get(category)),
            probability=given.get("probability", _DEFAULT_PROBABILITY),
            exceptions=frozenset(given.get("exceptions", ())),
            codes=given.get("codes", ()),
            pattern=given.get("patterns"),
            service=given.get("service", ""),
            source=given.get("source"),
            quiet=given.get("quiet", category == NO_INCIDENT),
            helps=given.get("helps"),
        )

    def check_tests(self, book: RuleBook) -> None:
        for line in self.words("test"):
            features = read_features(line)
            fired = (rule.id for clause in features.clauses for rule, _ in book.firing(clause, features.service))
            if self.values["id"] not in fired:
                raise self.error("test", f"{line!r} does not make rule {self.values['id']!r} fire")

    def text(self, field: str) -> str:
        value = self.values[field]
        if not isinstance(value, str) or not value.strip():
            raise self.error(field, f"is {value!r}; it must be text")
        return value

    def words(self, field: str) -> tuple[str, ...]:
        value = self.values[field]
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise self.error(field, f"is {value!r}; it must be text or a list of texts")
        return tuple(words)

    def category(self, field: str) -> str:
        value = self.text(field)
        if value not in (*CATEGORIES, NO_INCIDENT):
            raise self.error(field, f"is {value!r}; it must be one of {', '.join(CATEGORIES)} or {NO_INCIDENT}")
        return value

    def probability(self, field: str) -> float:
        value = self.values[field]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
            raise self.error(field, f"is {value!r}; it must be a number above 0, at most 1")
        return float(value)

    def transient(self, field: str) -> bool | None:
        value = self.values[field]
        if value not in (True, False, None):
            raise self.error(field, f"is {value!r}; it must be true, false or null")
        return None if value is None else bool(value)

    def flag(self, field: str) -> bool:
        value = self.values[field]
        if not isinstance(value, bool):
            raise self.error(field, f"is {value!r}; it must be true or false")
        return value

    def service(self, field: str) -> str:
        if self.values[field] != "database":
            raise self.error(field, f"is {self.values[field]!r}; the only service told apart is 'database'")
        return "database"

    def regex(self, field: str) -> re.Pattern[str]:
        for word in self.words(field):
            try:
                re.compile(word)
            except re.error as error:
                raise self.error(field, f"{word!r} is not a regular expression: {error}") from error
        return re.compile("|".join(f"(?:{word})" for word in self.words(field)), re.IGNORECASE)


_FIELDS: dict[str, Callable[[_Entry, str], Any]] = {
    "id": _Entry.text,
    "category": _Entry.category,
    "transient": _Entry.transient,
    "probability": _Entry.probability,
    "exceptions": _Entry.words,
    "codes": _Entry.words,
    "patterns": _Entry.regex,
    "helps": _Entry.probability,
    "service": _Entry.service,
    "source": _Entry.regex,
    "quiet": _Entry.flag,
    "test": _Entry.words,
}
