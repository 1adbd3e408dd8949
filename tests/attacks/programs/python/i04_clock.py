import struct
import time

from attempt import attempt, report, syscall

attempt("set the clock", time.clock_settime, time.CLOCK_REALTIME, 0)
attempt("set the clock by the old call", syscall, "settimeofday", struct.pack("qq", 0, 0), 0)
attempt("bend the clock", syscall, "adjtimex", bytes(256))
attempt("bend the clock by the new call", syscall, "clock_adjtime", 0, bytes(256))
attempt("set the clock that never goes back", time.clock_settime, time.CLOCK_MONOTONIC, 1)
attempt(
    "a timer for the end of time",
    syscall,
    "timerfd_settime",
    syscall("timerfd_create", 1, 0),
    0,
    struct.pack("qqqq", 0, 0, 2**62, 0),
    0,
)
started = time.monotonic()
time.sleep(0.05)
report("a twentieth of a second", "passes" if time.monotonic() - started < 2 else "takes longer")
