"""The stage, see :mod:`tests.tick.scene`."""

from tests.tick.scene import airflow, asked, failed, scene

__all__ = ["airflow", "asked", "failed", "scene"]
