"""Beside every attack: try something and report what came of it, one JSON object a line."""

import ctypes
import errno
import json
import os
import sys

_libc = ctypes.CDLL(None, use_errno=True)
# Of x86_64 and of aarch64: what the C library has no function for, or one that looks at its arguments first.
_NUMBERS = {
    "clone": (56, 220), "clone3": (435, 435), "setns": (308, 268), "unshare": (272, 97), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "fsopen": (430, 430),
}  # fmt: skip
_MACHINE = 0 if os.uname().machine == "x86_64" else 1


def report(attempt, result):
    print(json.dumps({"attempt": attempt, "result": result}), flush=True)


def fact(name, value):
    """A number for the table, which nothing depends on."""
    print(json.dumps({"fact": name, "value": value}), flush=True)


def attempt(name, action, *arguments):
    """What came of it: `ok`, or the name of its error. Gives back what the action did."""
    try:
        result = action(*arguments)
    except OSError as error:
        report(name, errno.errorcode[error.errno])
    except Exception as error:
        report(name, type(error).__name__)
    else:
        report(name, "ok")
        return result
    return None


def syscall(name, *arguments):
    """The call itself, past the C library. Raises OSError; a child that it makes ends at once."""
    number = _NUMBERS[name][_MACHINE]
    words = [
        one if isinstance(one, bytes) else ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments
    ]
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    if result == 0 and name.startswith("clone"):
        os._exit(0)
    return result


def library(name, *arguments):
    """A function of the C library that says -1 and sets errno. Raises OSError."""
    ctypes.set_errno(0)
    result = getattr(_libc, name)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def in_a_child(action):
    """For what would change this process. An OSError of the action's is raised here."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            action()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        raise RuntimeError(f"ended by signal {os.WTERMSIG(status)}")
    if code := os.WEXITSTATUS(status):
        raise OSError(code, os.strerror(code))
