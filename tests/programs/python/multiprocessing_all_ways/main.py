import multiprocessing
import os
import sys


def square(number):
    return number * number


def say(queue, text):
    queue.put((text, multiprocessing.current_process().name, __name__, sys.argv))


if __name__ == "__main__":
    print(multiprocessing.current_process().name, multiprocessing.parent_process())
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=say, args=(queue, method))
        process.start()
        print(queue.get())
        process.join()
        print(method, process.exitcode)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(square, range(10)))
    print(os.path.basename(__file__))
