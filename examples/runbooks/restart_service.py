"""Runbook: restart one systemd service over SSH (apache-airflow-providers-ssh).

The connection ``oncall_ssh`` names user and key; that user may restart the service by sudo and need be able to do nothing else. Which
service, and where, the policy's rule says in ``conf``: what a log claims never reaches the command.
"""

from __future__ import annotations

from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.sdk import DAG, Param

NAME = r"^[A-Za-z0-9][A-Za-z0-9@._-]{0,127}$(?!\n)"

with DAG(
    dag_id="restart_service",
    description="Restart a systemd service over SSH and see that it runs.",
    schedule=None,
    max_active_runs=1,
    tags=["oncall-runbook"],
    params={
        "service": Param(type="string", pattern=NAME, description="Unit to restart, e.g. vendor-gateway.service"),
        "host": Param(type="string", pattern=NAME, description="Machine that it runs on"),
    },
    doc_md=__doc__,
) as dag:
    restart = SSHOperator(
        task_id="restart",
        ssh_conn_id="oncall_ssh",
        remote_host="{{ params.host }}",
        command="sudo systemctl restart {{ params.service }}",
        cmd_timeout=120,
    )
    check = SSHOperator(
        task_id="check",
        ssh_conn_id="oncall_ssh",
        remote_host="{{ params.host }}",
        command="systemctl is-active {{ params.service }}",
        cmd_timeout=30,
        retries=3,
        retry_delay=10,
    )
    restart >> check
