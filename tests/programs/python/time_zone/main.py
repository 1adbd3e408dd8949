import datetime
import time

print(time.tzname, time.timezone, time.daylight, time.localtime(0)[:6])
print(datetime.datetime.fromtimestamp(1_700_000_000))
