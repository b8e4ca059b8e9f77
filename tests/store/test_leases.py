"""What only one may do at a time, on both databases."""

from __future__ import annotations

from datetime import timedelta

from airflow_oncall.store.sql import Store

HOUR, NOTHING = timedelta(hours=1), timedelta(seconds=-1)


def test_a_lease_has_one_holder(store: Store) -> None:
    assert store.leases.take("training", "ada", HOUR)
    assert not store.leases.take("training", "bob", HOUR)
    assert store.leases.holder("training") == "ada"


def test_its_holder_renews_it(store: Store) -> None:
    assert store.leases.take("training", "ada", NOTHING)
    assert store.leases.take("training", "ada", HOUR)
    assert not store.leases.take("training", "bob", HOUR)


def test_a_dead_holders_lease_frees_itself(store: Store) -> None:
    store.leases.take("training", "ada", NOTHING)
    assert store.leases.holder("training") is None
    assert store.leases.take("training", "bob", HOUR)
    assert store.leases.holder("training") == "bob"


def test_only_its_holder_gives_it_back(store: Store) -> None:
    store.leases.take("training", "ada", HOUR)
    store.leases.release("training", "bob")
    assert store.leases.holder("training") == "ada"
    store.leases.release("training", "ada")
    assert store.leases.take("training", "bob", HOUR)


def test_leases_of_other_names_are_free(store: Store) -> None:
    assert store.leases.take("training", "ada", HOUR)
    assert store.leases.take("another", "bob", HOUR)
