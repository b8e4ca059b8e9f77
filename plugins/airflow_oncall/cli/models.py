"""``models ...``: what was trained, which version reigns, and taking it back."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from airflow_oncall import conf
from airflow_oncall.cli.terminal import command, print_json, steps, this_user
from airflow_oncall.errors import StoreError, UntrustedModel
from airflow_oncall.store import open_store
from airflow_oncall.training import NAME

if TYPE_CHECKING:
    from airflow_oncall.incident import ModelVersion
    from airflow_oncall.store.sql import Store


@command
def list_models(args: argparse.Namespace) -> int:
    """``models list``"""
    store = open_store()
    states = _states(store)
    models = [(model, states[model.version]) for model in store.models.list(NAME)]
    if args.format == "json":
        print_json([_plain(model, state) for model, state in models])
        return 0
    columns = ("version", "state", "trained (UTC)", "rows", "macro-F1", "ECE")
    table = Table(*columns, title=f"{len(models)} version(s) of {NAME}")
    for model, state in models:
        report = _report(model)
        figures = [f"{report[key]:.3f}" if key in report else "" for key in ("macro_f1_lenient", "ece")]
        table.add_row(model.version, state, f"{model.trained_at:%Y-%m-%d %H:%M}", str(report.get("rows", "")), *figures)
    Console().print(table)
    return 0


@command
def model_info(args: argparse.Namespace) -> int:
    """``models info``"""
    from airflow_oncall.learn.card import CARD, card
    from airflow_oncall.learn.files import read_trusted

    store = open_store()
    model = _wanted(store, args.version)
    state = _states(store)[model.version]
    if args.format == "json":
        print_json(_plain(model, state))
        return 0
    print(f"state: {state}\n")
    print(read_trusted(conf.models_path(), model, CARD).decode() if CARD in model.files else card(model, model.metrics), end="")
    return 0


@command
def verify_models(args: argparse.Namespace) -> int:
    """``models verify``"""
    from airflow_oncall.learn import registry

    with steps("models", 1) as progress:
        progress("comparing every file with its registered hash")
        checked = registry.verify_models(conf.models_path(), open_store().models, NAME)
    if args.format == "json":
        print_json([{"version": one.model.version, "ok": not one.problems, "problems": one.problems} for one in checked])
    else:
        for one in checked:
            print(f"{'wrong' if one.problems else 'ok   '}  {one.model.name} {one.model.version}")
            for problem in one.problems:
                print(f"       -> {problem}")
    return 1 if any(one.problems for one in checked) else 0


@command
def promote_model(args: argparse.Namespace) -> int:
    """``models promote``"""
    from airflow_oncall.learn import registry

    store = open_store()
    model = _wanted(store, args.version)
    registry.load_model(conf.models_path(), model)  # one that would be refused when it is needed must not reign
    champion = registry.promote_model(conf.models_path(), store.models, model, actor=this_user(), reason=args.reason or "by hand")
    print(f"{NAME} {champion.version} is champion; running triage takes it up")
    return 0


@command
def roll_back(args: argparse.Namespace) -> int:
    """``models rollback``"""
    from airflow_oncall.learn.registry import rollback

    store = open_store()
    champion = rollback(conf.models_path(), store.models, NAME, actor=this_user(), reason=args.reason or "by hand")
    print(f"{NAME} {champion.version} is champion again; running triage takes it up")
    return 0


@command
def export_model(args: argparse.Namespace) -> int:
    """``models export``"""
    from airflow_oncall.learn import registry

    store = open_store()
    model = _wanted(store, args.version)
    print(registry.export_model(conf.models_path(), store.models, NAME, model.version, Path(args.file)))
    return 0


@command
def import_model(args: argparse.Namespace) -> int:
    """``models import``"""
    from airflow_oncall.learn import registry

    model = registry.import_model(conf.models_path(), open_store().models, Path(args.file))
    print(f"the files of {model.name} {model.version} are back in their place")
    print(f"`airflow oncall models promote {model.version}` makes it champion")
    return 0


def _wanted(store: Store, version: str | None) -> ModelVersion:
    """The version that was named, else the champion."""
    if version is None:
        champion = next(iter(store.models.champions(NAME)), None)
        if champion is None:
            raise UntrustedModel(f"no version of {NAME} reigns; `airflow oncall train --starter` trains one")
        return champion
    model = store.models.get(NAME, version)
    if model is None:
        known = ", ".join(one.version for one in store.models.list(NAME)) or "none"
        raise StoreError(f"model {NAME} {version!r} is not registered; registered are: {known}")
    return model


def _states(store: Store) -> dict[str, str]:
    champions = [model.version for model in store.models.champions(NAME)]
    states = {version: "champion" if place == 0 else "predecessor" for place, version in enumerate(champions)}
    for model in store.models.list(NAME):
        states.setdefault(model.version, "rolled back" if model.withdrawn_at else "not promoted")
    return states


def _report(model: ModelVersion) -> dict[str, Any]:
    """The ladder's figures on unseen groups; a starter training does not measure them."""
    return dict(model.metrics.get("reports", {}).get("challenger", {}).get("unseen groups", {}))


def _plain(model: ModelVersion, state: str) -> dict[str, Any]:
    return {**asdict(model), "state": state}
