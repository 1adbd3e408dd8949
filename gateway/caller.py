"""Say whom a request is from: a name that tells callers apart, and from which no credential can be learned."""

from __future__ import annotations

import hashlib
import secrets

from starlette.types import Scope

#: Headers that a credential may be in; the first that has something counts.
_CREDENTIALS = (b"authorization", b"x-api-key")
#: Of this process alone: whoever sees a name cannot try out credentials on it, and it means nothing after a restart.
_KEY = secrets.token_bytes(32)


def caller_of(scope: Scope) -> str:
    """A digest of the credential that was shown, else of the client's address.

    Nobody checks credentials yet: this is for fairness among callers who mean well, and not a wall. Keys that are
    checked will name their callers here.
    """
    shown = {name: value for name, value in reversed(scope["headers"]) if name in _CREDENTIALS and value.strip()}
    for name in _CREDENTIALS:
        if name in shown:
            return "key_" + _digest(shown[name].strip())
    client = scope.get("client")
    return "addr_" + _digest(str(client[0]).encode() if client else b"")


def _digest(what: bytes) -> str:
    return hashlib.blake2b(what, key=_KEY, digest_size=12).hexdigest()
