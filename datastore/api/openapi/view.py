"""GET schema: the API as an OpenAPI document. GET docs: the same as a page on which it can be tried out."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request

from datastore.access.stream_tickets import stream_server
from datastore.api.openapi.document import rendered
from datastore.api.openapi.operations import JSON, YAML
from datastore.api.params.query_params import no_question, query_of, schema_question
from datastore.api.responses.compression import CompressedView
from datastore.api.responses.json_response import ready_answer, unless_known

MEDIA_TYPES = {"json": JSON, "yaml": YAML}
# Nothing from another host but the streams, and no script or style written into the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' {streams}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class SchemaView(CompressedView):
    """GET schema."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the document, made once per process; 304 if the client has it."""
        form = schema_question(query_of(request))
        body, tag = rendered(form)
        answer = unless_known(request._request, tag) or ready_answer(body, {"ETag": tag})
        if answer.status_code == 200:
            answer.headers["Content-Type"] = MEDIA_TYPES[form]
        return answer


class Docs(CompressedView):
    """GET docs."""

    def get(self, request: Request) -> HttpResponse:
        """Answer the page; it loads nothing from another host, but may follow the streams that the API leads to."""
        no_question(query_of(request))
        page = render(request._request, "docs.html")
        streams = urlsplit(stream_server(str(request.scheme), request.get_host()))
        page.headers["Content-Security-Policy"] = POLICY.format(streams=f"{streams.scheme}://{streams.netloc}")
        page.headers["Cache-Control"] = "no-cache"
        return page
