import atexit


def bad():
    raise KeyError("at exit")


atexit.register(print, "still runs")
atexit.register(bad)
raise ValueError("main fails first")
