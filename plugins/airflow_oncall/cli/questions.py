"""Texts that a person types or pastes, what the system says of each, and what the person says is right."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from airflow_oncall import conf
from airflow_oncall.brain import Brain
from airflow_oncall.capture.redact import redact
from airflow_oncall.cli.terminal import this_user
from airflow_oncall.incident import Diagnosis
from airflow_oncall.judgement import LOG_CHARACTERS
from airflow_oncall.learn.imports import answer_row
from airflow_oncall.learn.rows import append_row
from airflow_oncall.learn.values import category_of, flag_of
from airflow_oncall.store.records import now
from airflow_oncall.triage.diagnose import diagnose

FILE = "corpus/feedback.jsonl"
"""Of the operator's include folder: the next training reads it."""
END = "."


class Session:
    """One conversation; right answers are appended to ``answers`` one by one, so that nothing is lost when it breaks off."""

    def __init__(self, brain: Brain, answers: Path | None = None) -> None:
        self._brain = brain
        self._answers = answers or conf.include_paths()[0] / FILE
        self._out = Console(soft_wrap=True)
        self.kept = 0

    def run(self) -> None:
        """Until the input ends, or the person says ``q``."""
        while (text := self._text()) and self._ask(text):
            pass
        self._say(f"{self.kept} right answers kept" + (f" in {self._answers}; the next training learns from them" if self.kept else ""))

    def _text(self) -> str:
        """One text; empty when there is no more."""
        self._say(f"\nType or paste what a task logged; end it with a line that is a single {END!r}. An empty text ends the session.")
        lines = []
        while (line := sys.stdin.readline()) and line.strip() != END:
            lines.append(line)
        text = "".join(lines)
        return redact(text, LOG_CHARACTERS) if text.strip() else ""

    def _ask(self, text: str) -> bool:
        """Show the diagnosis and keep the right answer; ``False`` ends the session."""
        found = diagnose(text, rules=self._brain.rules, models=self._brain.models)
        self._show(found)
        while True:
            self._say("Which category is right? Enter: this one, a name: that one, s: skip, q: quit")
            line = sys.stdin.readline()
            said = line.strip()
            if not line or said == "q":
                return False
            if said == "s":
                return True
            try:
                category = category_of(said or found.category)
            except ValueError as error:
                self._say(f"{error}")
                continue
            self._keep(text, category, found)
            return True

    def _keep(self, text: str, category: str, found: Diagnosis) -> None:
        said = f"{found.category} ({found.probability:.2f}, by {found.decided_by})"
        append_row(self._answers, answer_row(text, category, self._transient(), by=this_user(), at=now(), said=said))
        self.kept += 1

    def _transient(self) -> bool | None:
        while True:
            self._say("Can a re-run, unchanged, succeed later? yes, no, Enter: not known")
            said = sys.stdin.readline().strip()
            try:
                return flag_of(said) if said else None
            except ValueError as error:
                self._say(f"{error}")

    def _show(self, found: Diagnosis) -> None:
        transient = {True: "a re-run can help", False: "a re-run cannot help", None: "whether a re-run helps is not clear"}[found.transient]
        unlike = ", unlike anything seen" if found.anomaly else ""
        self._say(f"{found.category} ({found.probability:.0%}, by {found.decided_by}{unlike})")
        self._say(f"{transient} ({found.transient_probability:.0%})")
        for line in found.evidence:
            self._say(f"  {line}")
        for name, value in found.identifiers.items():
            self._say(f"  {name}: {value}")

    def _say(self, line: str) -> None:
        self._out.print(Text(line))
