"""``policy.yaml``: the policy in force, which is its last good version, and the file as it is now, with its lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from airflow_oncall import conf
from airflow_oncall.act.policy import Policy
from airflow_oncall.datafile import compose, line_of, parse
from airflow_oncall.errors import BadDataFile
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.sql import Store

NAME = "policy.yaml"


def read_policy(store: Store) -> Policy:
    """``policy.yaml``, or its last good version."""
    files = OperatorFiles(conf.include_paths(), store.good_files)
    return files.read(NAME, lambda name, text: parse(Policy, name, text))


@dataclass(frozen=True)
class PolicyFile:
    """A policy, and where its lines are."""

    path: Path
    policy: Policy
    root: yaml.Node | None

    @classmethod
    def read(cls, named: str | None = None) -> PolicyFile:
        """This file, else the operator's, else the shipped one. Raises ``BadDataFile``, though triage goes on with the last good one."""
        path = Path(named) if named else next((one / NAME for one in conf.include_paths() if (one / NAME).is_file()), None)
        if path is None:
            raise BadDataFile(NAME, "not found; reinstall, or set [oncall] include_path")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadDataFile(path, f"cannot be read: {error}") from error
        return cls._of(str(path), text)

    @classmethod
    def in_force(cls, store: Store) -> tuple[PolicyFile, str]:
        """What triage goes by; and, where that is not the file as it is now, what is wrong with the file."""
        try:
            return cls.read(), ""
        except BadDataFile as error:
            return OperatorFiles(conf.include_paths(), store.good_files).read(NAME, cls._of), str(error)

    @classmethod
    def _of(cls, name: str, text: str) -> PolicyFile:
        return cls(Path(name), parse(Policy, name, text), compose(name, text))

    def line(self, place: str) -> int | None:
        """Line (from 1) of a place such as ``overrides.2.mode``, or of the part that it would stand in; ``None``: in no file."""
        steps = [int(step) if step.isdigit() else step for step in place.split(".")]
        return line_of(self.root, steps) if steps[0] in self.policy.model_fields_set else None

    def where(self, place: str) -> str:
        """File and line of a place; what stands in no file is named as it is."""
        line = self.line(place)
        return f"{self.path}:{line}" if line else place or "default"
