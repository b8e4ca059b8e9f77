"""What the documents say of the API is what it says of itself."""

from __future__ import annotations

from tests.show.api.client import Api

from docs import generate


def test_the_reference_is_current(server: Api) -> None:
    assert generate.API.read_text(encoding="utf-8") == generate.api(server.ours.openapi()), "run `make docs`"


def test_every_route_has_its_heading_and_says_what_it_does(server: Api) -> None:
    text = generate.API.read_text(encoding="utf-8")
    described = server.ours.openapi()["paths"]
    routes = {f"{method.upper()} /oncall{path}": route for path, methods in described.items() for method, route in methods.items()}
    assert [name for name in routes if f"### {name}\n" not in text] == []
    assert [name for name, route in routes.items() if not route.get("description")] == []
