"""Look for whatever tells one machine from another, or the idle from the busy. argv: the places, as JSON."""

import json
import os
import sys
from pathlib import Path

from attempt import report


def content(path):
    """`something` if it can be read and is not empty, `empty` otherwise."""
    try:
        found = os.listdir(path) if os.path.isdir(path) else os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 100)
    except OSError:
        return "empty"
    return "something" if found else "empty"


for place in json.loads(sys.argv[1]):
    report(place, content(place))
report("host name", os.uname().nodename)
report("resolvers", str(sum(line.startswith("nameserver") for line in open("/etc/resolv.conf"))))
pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
report("processes", " ".join(sorted({Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids})))
report("environment", " ".join(sorted(os.environ)))
