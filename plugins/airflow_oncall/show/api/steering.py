"""Who you are, in which mode the system is, and the kill switch."""

from __future__ import annotations

from datetime import datetime
from threading import Lock
from typing import Annotated

from cachetools import TTLCache, cached
from fastapi import APIRouter
from pydantic import Field

from airflow_oncall import __version__, conf
from airflow_oncall.act import killswitch
from airflow_oncall.act.policy_file import read_policy
from airflow_oncall.feedback import REASON_CHARACTERS, reason_of
from airflow_oncall.show.api.auth import Reader, Steerer
from airflow_oncall.show.api.errors import ApiError
from airflow_oncall.show.api.schemas import In, Out
from airflow_oncall.show.api.store import StoreDep
from airflow_oncall.store.sql import Store

router = APIRouter(tags=["Steering"])
FRESH_SECONDS = 15.0


class PauseOut(Out):
    """That nothing is repaired and nobody is asked."""

    since: datetime | None
    """`null` where an Airflow Variable says so."""
    by: str
    reason: str


class MeOut(Out):
    """The reader, and what every page shows of the system."""

    user: str
    user_id: str
    """By which Airflow knows the reader among the approvers that a question names."""
    may_steer: bool
    """Whether the reader may use the kill switch and change what is known."""
    may_inspect: bool
    """Whether the reader may see models, knowledge and experiments."""
    may_answer: bool
    """Whether the reader may answer the questions that people are asked, through Airflow's own API."""
    mode: str
    """`shadow`, `ask` or `auto`, as the general part of the policy has it, else the settings."""
    paused: PauseOut | None
    version: str


class SwitchOut(Out):
    """The kill switch."""

    paused: PauseOut | None


class SwitchIn(In):
    """What the kill switch shall be."""

    paused: bool
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS)] = ""


@router.get("/me")
def me(access: Reader, store: StoreDep) -> MeOut:
    """Who you are, what you may do, and whether repairs go on."""
    return MeOut(
        user=access.name,
        user_id=access.user_id,
        may_steer=access.may_steer,
        may_inspect=access.may_inspect,
        may_answer=access.may_answer,
        mode=mode_of(store),
        paused=pause_of(store),
        version=__version__,
    )


@router.get("/switch")
def get_switch(access: Reader, store: StoreDep) -> SwitchOut:
    """Whether repairs are paused, by whom and why."""
    return SwitchOut(paused=pause_of(store))


@router.put("/switch")
def put_switch(access: Steerer, store: StoreDep, wanted: SwitchIn) -> SwitchOut:
    """Pause all repairs and questions, or let them go on."""
    if wanted.paused:
        store.switch.pause(access.name, reason_of(wanted.reason))
    else:
        store.switch.resume(access.name)
    paused = pause_of(store)
    if paused and not wanted.paused:
        raise ApiError(409, "paused_by_variable", f"{paused.reason}; delete it in Airflow under Admin, Variables")
    return SwitchOut(paused=paused)


def pause_of(store: Store) -> PauseOut | None:
    """What stands in the way of repairs."""
    made = store.switch.get()
    if made:
        return PauseOut(since=made.at, by=made.by, reason=made.reason)
    said = killswitch.why_paused(store)
    return PauseOut(since=None, by=f"Variable {killswitch.VARIABLE}", reason=said) if said else None


@cached(TTLCache(maxsize=1, ttl=FRESH_SECONDS), key=lambda store: store.engine.url, lock=Lock())
def mode_of(store: Store) -> str:
    """The mode where no override says otherwise; every page asks, so the policy is not read every time."""
    return read_policy(store).mode or conf.mode()
