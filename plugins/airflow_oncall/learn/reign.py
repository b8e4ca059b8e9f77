"""How repairs went while a champion reigned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.drift import success_rate
from airflow_oncall.store.labels import VerifiedAction


def failing(champions: Sequence[ModelVersion], versions: Sequence[ModelVersion], actions: Sequence[VerifiedAction], margin: float) -> str:
    """Why the first of ``champions`` is worse than its predecessor by more than ``margin``; empty where it is not, or too little is known.

    Actions planned under a version that was rolled back count for nobody.
    """
    if len(champions) < 2:
        return ""
    champion, predecessor = champions[:2]
    withdrawn = [(one.promoted_at, one.withdrawn_at) for one in versions if one.promoted_at and one.withdrawn_at]
    counted = [action for action in actions if not any(start <= action.at < end for start, end in withdrawn)]
    now_rate = success_rate([action for action in counted if action.at >= _start(champion)])
    before = success_rate([action for action in counted if _start(predecessor) <= action.at < _start(champion)])
    if now_rate is None or before is None or now_rate >= before - margin:
        return ""
    return (
        f"under {champion.version} {now_rate:.0%} of the repairs succeed, under {predecessor.version} it was {before:.0%}; "
        f"the margin is {margin:.0%}"
    )


def _start(model: ModelVersion) -> datetime:
    return model.promoted_at or model.trained_at
