"""End a service when the process that started it is gone, however that ended: not even `kill -9` leaves one behind.

The starter gives the service a pipe for its standard input, and keeps the other end for as long as it lives.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def end_with_the_starter() -> None:
    """In the service: SIGTERM to oneself at the end of standard input. Nothing is ever read there but the end."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    # A daemon, so that it holds up no end that comes another way.
    threading.Thread(target=wait, name="lifeline", daemon=True).start()
