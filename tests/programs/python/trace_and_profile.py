import cProfile
import sys

events = []
sys.settrace(lambda frame, event, arg: events.append((event, frame.f_code.co_name)))


def traced():
    return 1


traced()
sys.settrace(None)
print(events)
profile = cProfile.Profile()
profile.runcall(traced)
print([entry.callcount for entry in profile.getstats() if entry.code is traced.__code__])
