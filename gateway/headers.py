"""The headers that every answer carries, whoever writes it: the application, or the protocol in its place."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]

#: Nothing the API answers is to be rendered, guessed at, framed or kept by a browser.
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
#: For all that brings no policy of its own. Should a browser show it after all, nothing in it runs or loads.
POLICY = (
    b"content-security-policy",
    b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)

#: A caller's own id is taken as it is if it can neither break a header nor a line of a log.
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(received: Headers) -> bytes:
    """The caller's own if it is sane, else a new one."""
    for name, value in received:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value
    return b"req_" + secrets.token_hex(16).encode()


def complete(headers: Headers, id_of_request: bytes) -> list[tuple[bytes, bytes]]:
    """An answer's own headers with those of every answer."""
    all_of_them = [*headers, (b"x-request-id", id_of_request), *SECURITY]
    for name, _ in all_of_them:
        if name == b"content-security-policy":
            return all_of_them
    all_of_them.append(POLICY)
    return all_of_them
