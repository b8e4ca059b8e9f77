"""LET PEOPLE STEER: the HTTP API under ``/oncall``. Loads with the first request, in Airflow's API server only."""
