import os

from attempt import fact, until_it_fails


def leave_a_zombie():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)


fact("zombies", len(until_it_fails("one more process", leave_a_zombie)))
