"""What Airflow itself knows of the scene: its DAGs, the runs that failed, and the questions that wait for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.ui.scene import RUN

ROOT = Path(__file__).parents[2]
BUNDLE = "scene"
FOLDERS = (ROOT / "dags", Path(__file__).parent / "dags")
APPROVERS = {"for_somebody_else": [{"id": "grace", "name": "grace"}]}
"""Questions that only these may answer."""


def write(ids: Mapping[str, int], questions: Mapping[str, str]) -> None:
    """Write it all into Airflow's database; ``questions``: the ids of their runs."""
    from airflow.utils.session import create_session

    with create_session() as session:
        _know_dags(session)
        failed = _run(session, "nightly", RUN, "failed")
        for instance in failed.task_instances:
            instance.state = "failed"
            instance.try_number = 1
        for name, run_id in questions.items():
            _ask(session, ids[name], run_id, APPROVERS.get(name, []))


def _know_dags(session: Any) -> None:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel

    session.add(DagBundleModel(name=BUNDLE))
    session.flush()
    for folder in FOLDERS:
        bag = DagBag(folder, bundle_path=folder, bundle_name=BUNDLE)
        assert not bag.import_errors, bag.import_errors
        sync_bag_to_db(bag, BUNDLE, None, session=session)
    session.flush()


def _run(session: Any, dag_id: str, run_id: str, state: str, conf: dict[str, Any] | None = None) -> Any:
    from airflow.models.dag import DagModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    known = SerializedDagModel.get(dag_id, session=session)
    assert known is not None
    assert session.get(DagModel, dag_id) is not None
    return known.dag.create_dagrun(
        run_id=run_id,
        logical_date=None,
        run_after=datetime.now(timezone.utc),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState(state),
        conf=conf,
        session=session,
    )


def _ask(session: Any, incident_id: int, run_id: str, approvers: list[dict[str, str]]) -> None:
    """The question of an incident's first decision, as its operator leaves it while it waits."""
    from airflow.models.hitl import HITLDetail

    run = _run(session, "oncall_approval", run_id, "running", {"incident_id": incident_id, "number": 1})
    (question,) = [one for one in run.task_instances if one.task_id == "question"]
    question.state = "awaiting_input"
    question.try_number = 1
    subject = f"Clear nightly.load_orders? network_timeout at try 1 of incident {incident_id}"
    body = "| | |\n|---|---|\n| Cause | network_timeout (91%) |\n| Proposal | clear task |\n\nReject: nothing is done and it is escalated."
    detail = HITLDetail(ti_id=question.id, options=["Approve", "Reject"], subject=subject, body=body, params={}, assignees=approvers)
    session.add(detail)
