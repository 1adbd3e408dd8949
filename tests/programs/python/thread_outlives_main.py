import threading
import time


def slow():
    time.sleep(0.1)
    print("thread ends")


threading.Thread(target=slow).start()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("main ends")
