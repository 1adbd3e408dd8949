"""Write an answer that the application is not asked for: to what is no request, not whole in time, or one too many."""

from __future__ import annotations

import http

from gateway.headers import Headers, complete
from gateway.problems import Problem


def encode(problem: Problem, id_of_request: bytes, dated: Headers, *, with_body: bool = True) -> bytes:
    """The whole HTTP/1.1 answer, as the application would have given it; it is the last one on its connection."""
    response = problem.response()
    status = http.HTTPStatus(response.status_code)
    headers = [*dated, *complete(response.raw_headers, id_of_request), (b"connection", b"close")]
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    body = bytes(response.body) if with_body else b""
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status.value, status.phrase.encode(), head, body)
