import contextlib
import os

from attempt import deaf, report

while True:
    try:
        child = os.fork()
    except BlockingIOError:
        break
    if not child:
        os.setsid()
        deaf()
        while True:
            with contextlib.suppress(BlockingIOError):
                os.fork()
report("start one more", "EAGAIN")
while True:
    pass
