import multiprocessing


def fail():
    raise RuntimeError("in the child")


if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=fail, name="child-a")
    process.start()
    process.join()
    print(process.exitcode)
