import os
import threading

results = {}
lock = threading.Lock()


def work(number):
    with lock:
        results[number] = (threading.current_thread().name, number * number)


threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results)
print(threading.main_thread().name, threading.main_thread().native_id == os.getpid(), threading.get_native_id() == os.getpid())
print(threading.main_thread().ident == threading.get_ident())
