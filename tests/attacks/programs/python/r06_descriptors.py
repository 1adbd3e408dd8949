import array
import os
import socket

from attempt import fact, report, until_it_fails

reading, _ = os.pipe()
had = until_it_fails("one more descriptor", lambda: os.dup(reading))
fact("descriptors", len(had))
os.close(had.pop())
os.close(had.pop())

# Descriptors that are under way in a socket belong to nobody's table.
ours, _theirs = socket.socketpair()
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reading] * 250))]
sent = 0
try:
    while True:
        sent += ours.sendmsg([b"x"], rights, socket.MSG_DONTWAIT)
except OSError as error:
    report("one more under way", {109: "ETOOMANYREFS", 11: "EAGAIN"}[error.errno])
fact("under way", sent * 250)
