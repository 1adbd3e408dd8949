"""Find out whether an engine takes commands over TCP without TLS, by asking every port it listens on."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import sys
from pathlib import Path

_ASK_S = 1.0
_LISTEN = "0A"


def plain_apis(process: Path) -> list[str]:
    """`host:port` of each port at which the process of this /proc directory is such an engine. Raises `OSError`."""
    found = [(host, port) for host, port in listeners(process) if _answers(host, port)]
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found]


def listeners(process: Path) -> list[tuple[str, int]]:
    """Addresses and ports that the process of this /proc directory listens on. Raises `OSError`."""
    sockets = set()
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            sockets.add(str(descriptor.readlink()))
    found = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for row in (process / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTEN and f"socket:[{fields[9]}]" in sockets:
                    address, _, port = fields[1].partition(":")
                    found.append((decoded(address), int(port, 16)))
    return found


def decoded(text: str) -> str:
    """The address in /proc/net/tcp: 32-bit words in hexadecimal, each in the machine's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _answers(host: str, port: int) -> bool:
    """Whether an engine's API says so in the clear. One behind TLS answers 400 without the header, or nothing."""
    unspecified = ipaddress.ip_address(host).is_unspecified
    for reachable in ("127.0.0.1", "::1") if unspecified else (host,):
        with contextlib.closing(http.client.HTTPConnection(reachable, port, timeout=_ASK_S)) as connection:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/_ping")
                return connection.getresponse().getheader("Api-Version") is not None
    return False
