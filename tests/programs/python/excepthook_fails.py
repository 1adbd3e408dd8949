import sys


def hook(kind, error, trace):
    raise RuntimeError("hook itself")


sys.excepthook = hook
1 / 0
