"""A simulated Airflow, simulated causes of failure and simulated time, on which the real triage code and the real store run."""
