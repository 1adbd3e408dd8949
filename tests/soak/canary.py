"""A program that leaves canaries wherever a sandbox can keep anything, after it has looked for those of others."""

from __future__ import annotations

#: Prints a JSON list of what it found of others: always empty. Its argument is its own mark.
PROGRAM = r"""
import glob, json, os, socket, sys

mark, found = sys.argv[1].removeprefix("canary-"), []
places = ("/workspace", "/tmp", "/dev/shm", "/var/tmp", "/run", "/")
for place in places:
    found += glob.glob(os.path.join(place, "**" if place not in ("/", "/run") else "", "canary-*"), recursive=True)
found += [f"{name}={value}" for name, value in os.environ.items() if name.startswith("CANARY")]
for process in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        line = open(process).read()
    except OSError:
        continue
    if "canary-" in line and mark not in line:
        found.append(line)
for address in (("127.0.0.1", 47001), "\0canary"):
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as other:
        other.settimeout(1)
        if other.connect_ex(address) == 0:
            found.append(f"somebody listens at {address!r}: {other.recv(100)!r}")

for place in places:
    try:
        with open(os.path.join(place, f"canary-{mark}"), "w") as file:
            file.write(mark)
    except OSError:
        pass  # not every place can be written to, and need not
os.environ["CANARY"] = mark
if not os.fork():  # a process that stays behind, and says whose it is to whoever asks
    os.setsid()
    listeners = [socket.create_server(("127.0.0.1", 47001)), socket.socket(socket.AF_UNIX)]
    listeners[1].bind("\0canary")
    listeners[1].listen()
    for fd in (0, 1, 2):
        os.close(fd)
    while True:
        listeners[0].accept()[0].sendall(mark.encode())
print(json.dumps(found))
"""


def request(mark: str) -> dict[str, object]:
    return {"language": "python", "code": PROGRAM, "args": [f"canary-{mark}"], "env": {"MARK": mark}}
