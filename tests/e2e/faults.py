"""What is true of every fault of ``dags/faults_*.py``: its kind, and whether its cause goes away by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One task instance that meets a fault, or a run (``task_id`` empty)."""

    dag_id: str
    task_id: str
    transient: bool
    categories: tuple[str, ...]
    """The expected one, then others that say as much of the same cause."""

    @property
    def name(self) -> str:
        """DAG and task, as people write it."""
        return f"{self.dag_id}.{self.task_id}".rstrip(".")


TRANSIENT: Mapping[str, Mapping[str, str]] = {
    "f_shop": {
        "load_orders": "infrastructure_failure network_connectivity",
        "load_sessions": "infrastructure_failure network_connectivity",
        "load_prices": "rate_limit",
        "load_customers": "rate_limit",
        "load_returns": "rate_limit",
        "load_reviews": "rate_limit",
        "load_events": "network_timeout",
        "load_clicks": "network_timeout",
        "load_carts": "network_timeout",
        "load_baskets": "network_timeout infrastructure_failure",
        "load_report": "workflow_timeout network_timeout",
    },
    "f_partners": {
        "pull_offers": "network_connectivity",
        "pull_images": "network_connectivity",
        "pull_news": "network_connectivity",
        "pull_catalogue": "network_connectivity",
        "pull_export": "missing_data",
        "pull_invoices": "authentication",
    },
    "f_ledger": {
        "open_books": "database_connectivity",
        "close_books": "database_connectivity",
        "read_rates": "database_connectivity",
        "read_archive": "database_connectivity configuration_error",
        "sum_entries": "database_connectivity",
        "post_entries": "database_performance",
        "book_fees": "database_performance",
        "book_taxes": "database_performance",
        "book_interest": "database_performance",
        "reserve": "database_performance",
        "settle": "workflow_timeout database_performance",
    },
    "f_stock": {"read_batches": "missing_data"},
    "f_inbox": {
        "read_sales": "missing_data",
        "read_partition": "missing_data",
        "read_manifest": "data_quality missing_data",
        "write_export": "storage_exhaustion",
    },
    "f_models": {
        "build_index": "memory_exhaustion",
        "build_matrix": "memory_exhaustion",
        "render_tiles": "infrastructure_failure memory_exhaustion",
        "train_month": "infrastructure_failure memory_exhaustion",
        "run_solver": "workflow_timeout",
        "wait_for_cube": "workflow_timeout missing_data",
    },
    "f_night": {"": "workflow_timeout"},
}
"""The cause is gone when the task was seen to fail; that of ``load_orders`` when it failed twice."""

PERMANENT: Mapping[str, Mapping[str, str]] = {
    "f_shop": {"load_archive": "rate_limit authentication"},
    "f_partners": {
        "pull_rates": "network_connectivity configuration_error",
        "pull_weather": "network_connectivity configuration_error",
        "pull_accounts": "authentication",
        "pull_contracts": "authentication",
    },
    "f_stock": {
        "insert_item": "data_quality",
        "insert_nameless": "data_quality",
        "insert_amount": "data_quality",
        "find_item": "data_quality code_error",
        "read_lots": "missing_data code_error",
        "read_shelves": "code_error data_quality",
        "read_costs": "authentication",
        "read_plan": "authentication",
        "read_depot": "configuration_error missing_data database_connectivity",
        "sort_moves": "storage_exhaustion",
        "add_item": "configuration_error authentication",
    },
    "f_inbox": {
        "read_supplier": "missing_data",
        "read_feed": "data_quality",
        "add_amounts": "data_quality",
        "compare_totals": "data_quality",
        "read_keys": "authentication",
        "write_extract": "storage_exhaustion",
        "write_backup": "storage_exhaustion",
        "copy_amounts": "storage_exhaustion",
    },
    "f_models": {"build_cube": "memory_exhaustion", "map_blocks": "memory_exhaustion"},
    "f_report": {
        "sum_regions": "code_error",
        "label_rows": "code_error",
        "rank_shops": "code_error",
        "draw_chart": "code_error configuration_error",
        "apply_formula": "code_error",
        "pick_winner": "code_error",
        "render_mail": "code_error",
        "mail_report": "configuration_error",
        "list_readers": "configuration_error",
        "read_layout": "configuration_error",
        "print_report": "configuration_error",
    },
}
"""It fails however often it is run. Of ``pull_weather`` (a host name that nobody has) and ``read_supplier`` (a file that nobody
sends) no text tells that; the others say enough to be known for what they are."""


def _faults(truth: Mapping[str, Mapping[str, str]], transient: bool) -> list[Fault]:
    return [
        Fault(dag_id, task_id, transient, tuple(categories.split()))
        for dag_id, tasks in truth.items()
        for task_id, categories in tasks.items()
    ]


FAULTS = (*_faults(TRANSIENT, True), *_faults(PERMANENT, False))
