"""The world of the simulated Airflow, which the simulator shares: it stands in :mod:`simulator.world`."""

from simulator.world import Backfill, Dag, Mutation, Pool, Refused, Run, Task, TaskInstance, World

__all__ = ["Backfill", "Dag", "Mutation", "Pool", "Refused", "Run", "Task", "TaskInstance", "World"]
