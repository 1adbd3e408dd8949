"""Beside every attack: try something and report what came of it, one JSON object a line."""

import ctypes
import errno
import json
import os
import signal
import sys
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
#: The number of every system call of this machine.
CALLS = json.loads((Path(__file__).parent / "calls.json").read_text())


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
        report(name, errno.errorcode.get(error.errno, str(error)))
    except Exception as error:
        report(name, str(error) if isinstance(error, Ended) else type(error).__name__)
    else:
        report(name, "ok")
        return result
    return None


def attempt_or_absent(name, action, *arguments):
    """The same where it depends on the host's kernel how it is refused: for want of rights, or of the thing itself."""
    try:
        action(*arguments)
    except (PermissionError, FileNotFoundError):
        report(name, "refused")
    except OSError as error:
        report(name, "refused" if error.errno == errno.EROFS else errno.errorcode[error.errno])
    else:
        report(name, "ok")


def until_it_fails(name, action):
    """Repeat it. Reports the error that ends it; gives back what was had."""
    had = []
    try:
        while True:
            had.append(action())
    except OSError as error:
        report(name, errno.errorcode[error.errno])
    return had


def syscall(name, *arguments):
    """The call itself, past the C library. Raises OSError; a child that it makes ends at once."""
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(CALLS[name]), *words)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    if result == 0 and name.startswith("clone"):
        os._exit(0)
    return result


def opening(path, mode=os.O_RDONLY):
    return os.open(path, mode | os.O_NONBLOCK)


def writing(path, text="1"):
    """Opens what is there and writes to it; makes nothing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        return os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def writing_to_one(*paths, text="1"):
    """To the first that there is: what has its own place in each version of the kernel's."""
    for path in paths:
        try:
            return writing(path, text)
        except FileNotFoundError:
            continue
    raise FileNotFoundError(errno.ENOENT, "none of them")


class Ended(Exception):
    """A child ended by a signal: its name."""


def in_a_child(action, *arguments):
    """For what would change this process. An OSError of the action's is raised here."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            action(*arguments)
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        raise Ended(signal.Signals(os.WTERMSIG(status)).name)
    if code := os.WEXITSTATUS(status):
        raise OSError(code, os.strerror(code))


def deaf():
    """From now on only SIGKILL and SIGSTOP are heard."""
    for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN)
