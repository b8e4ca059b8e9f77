"""The store as one object: the parts it is made of, over one engine."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from airflow_oncall.store.audit_log import AuditLog
from airflow_oncall.store.bars import Bars
from airflow_oncall.store.browse import Browse
from airflow_oncall.store.dag_data import DagData
from airflow_oncall.store.engine import engine_for, store_url
from airflow_oncall.store.experiments import Experiments
from airflow_oncall.store.figures import Figures
from airflow_oncall.store.guards import Guards
from airflow_oncall.store.hindsight import Hindsight
from airflow_oncall.store.intake import SqlIntake
from airflow_oncall.store.keep import Cursors, GoodFiles, Leases
from airflow_oncall.store.knowledge import Knowledge
from airflow_oncall.store.labels import Labels
from airflow_oncall.store.ledger import Ledger
from airflow_oncall.store.logs import SqlLogs
from airflow_oncall.store.notices import Notices
from airflow_oncall.store.outcomes import Outcomes
from airflow_oncall.store.queue import Queue
from airflow_oncall.store.rankings import Rankings
from airflow_oncall.store.reading import Reading
from airflow_oncall.store.recent import Recent
from airflow_oncall.store.remedies import Remedies
from airflow_oncall.store.report import Report
from airflow_oncall.store.rollups import Rollups
from airflow_oncall.store.schema import HEAD, current_revision, upgrade
from airflow_oncall.store.storms import Storms
from airflow_oncall.store.suggestions import Suggestions
from airflow_oncall.store.switch import Switch
from airflow_oncall.store.versions import SqlModelVersions


@dataclass(frozen=True)
class Store:
    """``intake`` writes failures down, ``queue`` hands out work, ``ledger`` records what triage does, the rest reads and keeps."""

    engine: Engine
    intake: SqlIntake
    queue: Queue
    ledger: Ledger
    reading: Reading
    browse: Browse
    figures: Figures
    rollups: Rollups
    recent: Recent
    rankings: Rankings
    report: Report
    cursors: Cursors
    good_files: GoodFiles
    leases: Leases
    labels: Labels
    logs: SqlLogs
    storms: Storms
    notices: Notices
    remedies: Remedies
    guards: Guards
    bars: Bars
    switch: Switch
    outcomes: Outcomes
    experiments: Experiments
    hindsight: Hindsight
    knowledge: Knowledge
    models: SqlModelVersions
    audit: AuditLog
    dag_data: DagData
    suggestions: Suggestions

    @classmethod
    def open(cls, worker: str, *, migrate: bool, patience: float) -> Store:
        """The store of this deployment, see :func:`airflow_oncall.store.open_store`."""
        engine = engine_for(store_url(), patience)
        if migrate and current_revision(engine) != HEAD:
            upgrade(engine)
        return cls.over(engine, worker)

    @classmethod
    def over(cls, engine: Engine, worker: str) -> Store:
        """The store over an engine."""
        return cls(
            engine=engine,
            intake=SqlIntake(engine),
            queue=Queue(engine, worker),
            ledger=Ledger(engine, worker),
            reading=Reading(engine),
            browse=Browse(engine),
            figures=Figures(engine),
            rollups=Rollups(engine),
            recent=Recent(engine),
            rankings=Rankings(engine),
            report=Report(engine),
            cursors=Cursors(engine),
            good_files=GoodFiles(engine),
            leases=Leases(engine),
            labels=Labels(engine),
            logs=SqlLogs(engine),
            storms=Storms(engine, worker),
            notices=Notices(engine),
            remedies=Remedies(engine),
            guards=Guards(engine),
            bars=Bars(engine),
            switch=Switch(engine),
            outcomes=Outcomes(engine),
            experiments=Experiments(engine),
            hindsight=Hindsight(engine),
            knowledge=Knowledge(engine),
            models=SqlModelVersions(engine),
            audit=AuditLog(engine),
            dag_data=DagData(engine),
            suggestions=Suggestions(engine),
        )
