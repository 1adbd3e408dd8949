"""Runs in a sandbox: make system calls, each in a process of its own, and tell what the kernel said.

Argument: {"name": [number, [argument, …]]} in JSON. Out: {"name": "ok", the error's name, or the signal that ended it}.
"""

import ctypes
import errno
import json
import os
import sys

syscall = ctypes.CDLL(None, use_errno=True).syscall
said = {}
for name, (number, arguments) in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        ctypes.set_errno(0)
        result = syscall(*(ctypes.c_long(value) for value in (number, *arguments)))
        os._exit(ctypes.get_errno() if result == -1 else 0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        said[name] = f"signal {os.WTERMSIG(status)}"
    else:
        said[name] = errno.errorcode.get(os.WEXITSTATUS(status), "ok")
print(json.dumps(said))
