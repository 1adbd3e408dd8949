import os
import random
import sys
import threading

print("parent starts")
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    print("child", os.getppid() != 1, threading.main_thread() is threading.current_thread())
    sys.exit(4)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
random.seed(1)
print(random.random())
