"""OpenSearch through the Elasticsearch client: what the two differ in before a request is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from elastic_transport import HttpHeaders, Transport, TransportApiResponse

_JSON = {"accept": "application/json", "content-type": "application/json"}


class OpenSearchTransport(Transport):
    """Speaks plain JSON, because OpenSearch refuses Elasticsearch's media types, and vouches for the server.

    The client refuses servers that do not call themselves Elasticsearch; whoever chose ``product: opensearch`` knows.
    """

    def perform_request(self, method: str, target: str, **options: Any) -> TransportApiResponse:
        """One request, with the headers that OpenSearch takes."""
        headers = HttpHeaders(options.pop("headers", None) or {})
        headers.update(_JSON)
        answer = super().perform_request(method, target, headers=headers, **options)
        seen = HttpHeaders(answer.meta.headers)
        seen["x-elastic-product"] = "Elasticsearch"
        return TransportApiResponse(replace(answer.meta, headers=seen), answer.body)
