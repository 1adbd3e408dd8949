import contextlib
import os
import signal
import time
from pathlib import Path

from attempt import report

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        Path("/proc/self/comm").write_text("stays")
        for number in range(1, 65):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
report("become a daemon", "ok")
