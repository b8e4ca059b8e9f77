"""What the wheel tells Airflow's provider manager: ``[oncall]`` defaults, commands, notifier, DAG bundle.

The plugin and the cluster policy have entry points of their own; named here as well, they would be registered twice.
"""

from __future__ import annotations

from typing import Any

from airflow_oncall import __version__, conf


def get_provider_info() -> dict[str, Any]:
    """Metadata of this provider, in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-oncall",
        "name": "On-call",
        "description": "Automated on-call: notices failed tasks, explains them, repairs what is safe to repair.",
        "integrations": [
            {"integration-name": "On-call", "external-doc-url": "https://pypi.org/project/airflow-oncall/", "tags": ["software"]}
        ],
        "config": {
            conf.SECTION: {"description": "Automated on-call.", "options": {name: _option(option) for name, option in conf.OPTIONS.items()}}
        },
        "cli": ["airflow_oncall.cli.definition.get_cli_commands"],
        "notifications": ["airflow_oncall.capture.notifier.OnCallNotifier"],
        "bundles": [{"integration-name": "On-call", "python-modules": ["airflow_oncall.bundle"]}],
    }


def _option(option: conf.Option) -> dict[str, Any]:
    return {
        "description": option.description,
        "version_added": __version__,
        "type": option.type,
        "example": option.example,
        "default": option.default,
    }
