import threading


def fail():
    raise LookupError("in a thread")


thread = threading.Thread(target=fail, name="worker-a")
thread.start()
thread.join()
print("main goes on")
