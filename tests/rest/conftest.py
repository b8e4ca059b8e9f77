"""A simulated Airflow and the API on it."""

import pytest
from tests.simulated_airflow import SimulatedAirflow
from tests.tick.scene import airflow, sign_in

from airflow_oncall.rest import AirflowApi

__all__ = ["airflow", "api"]


@pytest.fixture
def api(airflow: SimulatedAirflow) -> AirflowApi:
    """Airflow's API, signed in at the first call."""
    return sign_in(airflow.url)
