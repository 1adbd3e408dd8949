import os
import time
from pathlib import Path

from attempt import deaf, report

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        Path("/proc/self/comm").write_text("stays")
        deaf()
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
report("become a daemon", "ok")
