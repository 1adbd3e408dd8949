"""Where the gateway is that a command is about."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping

from petri.client import GatewayFault
from petri.config import Config
from pool import process_lock


def of_gateway(url: str | None, config: Callable[[], Config], environ: Mapping[str, str] = os.environ) -> str:
    """`url`, else PETRI_URL, else where the running `petri up` of this pool's name serves, else as configured.

    `config` is asked only when it is needed. Raises `GatewayFault` for what is no URL.
    """
    if named := url or environ.get("PETRI_URL"):
        if not named.startswith(("http://", "https://")):
            raise GatewayFault(f"{named}: must begin with http:// or https://, as http://localhost:8000 does")
        return named
    return of_running(config())


def of_running(config: Config) -> str:
    """Where `petri up` serves, whatever port it was given; as configured, where none runs."""
    running = process_lock.note(config.up_lock) if process_lock.is_held(config.up_lock) else None
    return running or config.gateway_url


def free_port(host: str) -> int:
    """One that nothing listens on at this moment."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        return int(free.getsockname()[1])
