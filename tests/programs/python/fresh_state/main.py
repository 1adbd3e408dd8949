import sys

before = sorted(sys.modules)
print(before)
print(sys.meta_path, sys.path_hooks)
import importlib

try:
    print(importlib.util)
except AttributeError as error:
    print(error)
import gc
import json
import signal
import threading

print(sorted(set(sys.modules) - set(before)))
print(json.__spec__, json.__loader__, json.__file__, json.decoder, json.__dict__.keys())
print(gc.isenabled(), gc.get_threshold(), gc.garbage)
print([(number, signal.getsignal(number)) for number in sorted(signal.valid_signals()) if signal.getsignal(number)])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(threading.enumerate(), threading.main_thread() is threading.current_thread(), threading.active_count())
print(sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile())
print(sys.stdin, sys.stdout, sys.stderr, sys.stdout.line_buffering, sys.stdin.isatty())
print(sys.excepthook, sys.displayhook, sys.unraisablehook)
