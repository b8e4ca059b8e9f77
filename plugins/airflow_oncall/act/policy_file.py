"""The policy in force: the operator's ``policy.yaml``, or its last good version."""

from __future__ import annotations

from airflow_oncall import conf
from airflow_oncall.act.policy import Policy
from airflow_oncall.datafile import parse
from airflow_oncall.store.operator_files import OperatorFiles
from airflow_oncall.store.sql import Store


def read_policy(store: Store) -> Policy:
    """``policy.yaml``, or its last good version."""
    files = OperatorFiles(conf.include_paths(), store.good_files)
    return files.read("policy.yaml", lambda name, text: parse(Policy, name, text))
