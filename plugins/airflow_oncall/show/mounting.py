"""Where the API and the pages hang in Airflow's server. Every Airflow process imports this, so it loads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf

from airflow_oncall import __version__

PREFIX = "/oncall"
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class LazyApp:
    """An ASGI app that is made when it is first asked."""

    def __init__(self) -> None:
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            self._app = await asyncio.to_thread(_made)  # its imports take a second, in which Airflow answers others
        await self._app(scope, receive, send)


def _made() -> App:
    from airflow_oncall.show.api.app import create_app

    return create_app()


def base_path() -> str:
    """Path under which Airflow is served; empty where it is the root."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def _page(name: str, destination: str, url_route: str, **more: object) -> dict[str, object]:
    bundle = f"{base_path()}{PREFIX}/ui/{__version__}/main.js"
    return {"name": name, "bundle_url": bundle, "destination": destination, "url_route": url_route, **more}


MOUNT = {"app": LazyApp(), "url_prefix": PREFIX, "name": "oncall"}
REACT_APPS = [
    _page("Oncall", "nav", "oncall", nav_top_level=True),
    _page("Oncall incident", "task_instance", "oncall-task"),
    _page("Oncall incidents", "dag", "oncall-dag"),
    _page("Oncall dashboard", "dashboard", "oncall-dashboard"),
]
"""Pages. Airflow shows a page's name as its tab, and takes its component from the global variable of that name, which main.js sets.
It wants every ``url_route`` only once, whatever its destination."""
