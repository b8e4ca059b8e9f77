# The plugins folder's door: Airflow imports this file, the package does the work.
from airflow_oncall.show.plugin import OnCallPlugin as OnCallPlugin
