import atexit
import threading
import weakref


class Thing:
    pass


thing = Thing()
weakref.finalize(thing, print, "finalizer")
atexit.register(print, "registered first, runs last")


@atexit.register
def second():
    print("registered second", threading.active_count())


print("main ends")
