import sys


def hook(kind, error, trace):
    print("hook:", kind.__name__, error, trace.tb_lineno, trace.tb_next)


sys.excepthook = hook
raise LookupError("for the hook")
