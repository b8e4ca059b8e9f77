"""The faults are real: what the demo's tasks meet is what a client of a broken service meets."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from demo.faults import MEGABYTE, FaultyServer, hang, reset, serve, stream, unavailable


@pytest.fixture
def api() -> Iterator[httpx.Client]:
    """A client of a server with one path per fault."""
    server = FaultyServer(
        {
            "/overloaded": [unavailable, unavailable, serve(["order"])],
            "/resetting": [reset, serve(["price"])],
            "/hanging": [hang, serve(["report"])],
            "/big": [stream(2)],
        }
    )
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        yield client
    server.stop()


def test_the_last_answer_of_a_script_repeats(api: httpx.Client) -> None:
    assert [api.get("/overloaded").status_code for _ in range(4)] == [503, 503, 200, 200]


def test_a_reset_connection_has_no_answer(api: httpx.Client) -> None:
    with pytest.raises(httpx.ReadError):
        api.get("/resetting")
    assert api.get("/resetting").json() == ["price"]


def test_a_hanging_call_lasts_as_long_as_the_client_waits(api: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        api.get("/hanging", timeout=0.2)
    assert api.get("/hanging").json() == ["report"]


def test_a_stream_has_the_size_it_announces(api: httpx.Client) -> None:
    assert len(api.get("/big").content) == 2 * MEGABYTE


def test_a_path_without_a_script_is_not_found(api: httpx.Client) -> None:
    assert api.get("/nothing").status_code == 404


def test_a_server_that_never_started_can_be_stopped() -> None:
    FaultyServer({}).stop()
