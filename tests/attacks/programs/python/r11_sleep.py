import time

from attempt import deaf

deaf()
time.sleep(1 << 20)
