"""What is longer than its column: cut before it is stored, or refused for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.cast import vendor_was_down
from tests.databases import Databases, fresh_store

from airflow_oncall.capture.evidence import NAME_LIMIT
from airflow_oncall.capture.redact import redact
from airflow_oncall.errors import StoreRefused
from airflow_oncall.incident import Diagnosis, Occurrence
from airflow_oncall.store.sql import Store


def ran_by(operator: str) -> Occurrence:
    return replace(vendor_was_down, evidence=replace(vendor_was_down.evidence, operator=operator, hostname=operator))


def test_the_longest_name_that_capture_lets_through_is_stored(store: Store) -> None:
    longest = ran_by(redact("x" * 50_000_000, NAME_LIMIT))
    store.intake.record(longest)
    assert store.reading.occurrences(store.reading.incidents()[0].id) == [longest]


@pytest.mark.postgres
def test_a_value_too_long_for_its_column_is_refused_for_good(databases: Databases) -> None:
    for store in fresh_store(databases, "postgresql"):
        with pytest.raises(StoreRefused, match="value too long"):
            store.intake.record(ran_by("x" * 251))
        assert store.reading.incidents() == []


def test_a_value_that_is_missing_is_refused_for_good(store: Store) -> None:
    nothing_known = replace(vendor_was_down.evidence, message=None)  # type: ignore[arg-type]
    with pytest.raises(StoreRefused, match="message"):
        store.intake.record(replace(vendor_was_down, evidence=nothing_known))
    assert store.reading.incidents() == []


def test_the_version_of_a_model_trained_here_is_stored_with_its_diagnosis(store: Store) -> None:
    store.intake.record(vendor_was_down)
    (incident,) = store.queue.claim_due(1, timedelta(minutes=1))
    version = "category 0.1.0+starter.20261121T010101.123456"
    store.ledger.diagnosed(incident, Diagnosis("network_connectivity", 0.9, True, 0.9, model_version=version))
    assert [known.model_version for known in store.reading.diagnoses(incident.id)] == [version]
