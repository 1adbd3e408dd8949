"""Refuse what a web page of somebody else's sends: it runs in a caller's browser, and reaches what the caller reaches.

Two doors. Any page may send simple POSTs anywhere, without reading the answer; running code needs no answer. And a page
whose name is made to mean 127.0.0.1 after it was loaded (DNS rebinding) may even read. Browsers tell on both.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import Problem
from gateway.settings import GatewaySettings

#: These change nothing, and without CORS headers their answers cannot be read across origins.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: What a browser says of a request from the same origin, and of one that the user typed in.
_OWN_SITE = frozenset({b"same-origin", b"none"})

#: A name, an address or a port longer than they come is nobody's.
_LONGEST_HOST = 253 + len(".:65535")
#: Hosts whose answer is remembered. Clients of one server use a handful.
_REMEMBERED = 256

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]*)?")


class CrossOriginProtection:
    """Pure ASGI. What is refused has its body not read."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._origins = frozenset(origin.lower().encode() for origin in settings.allowed_origins)
        self._hosts = frozenset(
            name.lower().rstrip(".") for name in ("localhost", settings.host, *settings.allowed_hosts)
        )
        # Who must show a key cannot be impersonated by a page that has none; there, names are checked only if any are
        # configured. On loopback there are no keys, and the name is all that tells a page that was rebound.
        self._knows_names = bool(settings.allowed_hosts) or _is_loopback(settings.host)
        self._is_ours = lru_cache(_REMEMBERED)(self._look_up)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (why := self._refusal(scope)) is not None:
            await Problem("forbidden", why).response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        host = origin = site = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value.lower()
            elif name == b"sec-fetch-site":
                site = value
        # HTTP/1.0 may be without Host; no browser is.
        if host is not None and self._knows_names and (len(host) > _LONGEST_HOST or not self._is_ours(host)):
            return f"there is no {_shown(host)} here; if it is this server's name, name it in gateway.allowed_hosts"
        if scope["method"] in _SAFE or (origin is not None and origin in self._origins):
            return None
        # As Go's CrossOriginProtection: Sec-Fetch-Site decides; browsers without it (and plain HTTP) send Origin.
        if site is not None:
            if site in _OWN_SITE:
                return None
        elif origin is None or (host is not None and origin.partition(b"://")[2] == host.lower()):
            return None
        page = "a web page" if origin is None else f"a web page of {_shown(origin)}"
        return f"{page} may not change anything here; if it is to, name its origin in gateway.allowed_origins"

    def _look_up(self, host: bytes) -> bool:
        """An address is always ours: only a name can be made to mean another machine."""
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        if found is None:
            return False
        name = found.group(1).rstrip(".")
        return name in self._hosts or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback)


def _shown(header: bytes) -> str:
    return repr(header[:100].decode("latin-1"))
