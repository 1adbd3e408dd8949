import inspect
import linecache
import sys
import traceback


def documented(a, b=1, *, c):
    """Say what it does."""
    return inspect.currentframe().f_lineno


print(inspect.getsource(documented))
print(inspect.signature(documented), inspect.getfile(documented), documented.__module__)
print(linecache.getline(__file__, 1))
print(documented(1, c=2), [frame.name for frame in traceback.extract_stack()], len(inspect.stack()))
frame = sys._getframe()
print(frame.f_back, frame.f_code.co_name, frame.f_code.co_filename)
