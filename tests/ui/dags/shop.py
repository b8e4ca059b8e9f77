"""What the incidents of the scene are about."""

from airflow.sdk import DAG, task

with DAG("nightly", schedule=None, tags=["shop"]):

    @task
    def load_orders() -> None:
        """Asks the vendor."""

    load_orders()

with DAG("shards", schedule=None):

    @task
    def work(number: int) -> None:
        """Works on one shard."""

    work.expand(number=[0, 1, 2, 3])
