import os
import signal

from attempt import attempt, fact, libc, report

AGENT = 1
sent = 0
for name in ("SIGKILL", "SIGSTOP", "SIGTERM", "SIGSEGV", "SIGINT", "SIGHUP", "SIGABRT"):
    attempt(f"send {name}", os.kill, AGENT, signal.Signals[name])
for number in range(1, 65):
    for _ in range(100):
        sent += not libc.kill(AGENT, number)
fact("signals", sent)
attempt("kill everybody else", os.kill, -1, signal.SIGKILL)
libc.killpg(os.getpgid(AGENT), signal.SIGKILL)  # says ESRCH if the worker, which is in it, is dead but not yet gone
report("the agent", "lives" if os.getppid() == AGENT else "is gone")
