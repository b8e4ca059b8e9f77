"""Engines by name, as scenario files and ``make lab ENGINE=...`` know them; each module is imported when its engine is asked for."""

from __future__ import annotations

from importlib import import_module

from lab.engines.base import Engine

ENGINES = {
    "spark": "lab.engines.spark:SparkEngine",
    "clients": "lab.engines.clients:ClientsEngine",
    "airflow": "lab.engines.airflow:AirflowEngine",
    "postgres": "lab.engines.postgres:PostgresEngine",
    "python": "lab.engines.script:ScriptEngine",
    "cloud": "lab.engines.cloud:CloudEngine",
}
"""Those that take longest first, as ``make lab`` runs two at a time."""


def open_engine(name: str) -> Engine:
    """The engine, not started yet. Raises ``KeyError`` for a name that is none."""
    module, _, kind = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), kind)()
    return engine
