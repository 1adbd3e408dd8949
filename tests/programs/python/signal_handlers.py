import os
import signal
import time

seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append((number, frame.f_code.co_name)))
signal.signal(signal.SIGALRM, lambda number, frame: seen.append("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.02)
os.kill(os.getpid(), signal.SIGUSR1)
while len(seen) < 2:
    time.sleep(0.01)
print(seen)
print(signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGINT))
