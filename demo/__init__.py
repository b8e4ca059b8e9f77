"""`make demo`: a real Airflow, real faults, and airflow-oncall looking after them."""
