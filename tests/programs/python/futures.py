from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def cube(number):
    return number**3


if __name__ == "__main__":
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(2) as processes:
        print(list(threads.map(cube, range(5))), list(processes.map(cube, range(5))))
        print(threads.submit(cube, "x").exception())
