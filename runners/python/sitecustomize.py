"""Be a warm worker (PROTOCOL.md), then let the interpreter run main.py as if nothing had been here.

Python imports this module while it starts, before it opens the file it was told to run, because the manifest puts this
directory on PYTHONPATH. The worker warms the interpreter up, waits for the go message, takes on the run's arguments
and environment, and steps aside. What follows is the interpreter's own run of the file: tracebacks, warnings and
finalisation need no imitation. In any other process of the sandbox it does nothing.

Nothing is imported here but what a fresh interpreter has already; the rest comes from petri_shelf.
"""

# ruff: noqa: PTH100, PTH112, PTH119, PTH120

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What programs import most, by measurement: each is worth 1 to 10 ms to who imports it, and costs every boot the same.
#: Left out are asyncio (13 ms, 6 MiB), hashlib (3.6 MiB of OpenSSL), logging, which remembers when it was imported, and
#: subprocess, which keeps a program's children in a list that has to be torn down at the end. First those that
#: put aliases of their own into sys.modules, for petri_shelf to see whose they are.
_PRELOADED = """
importlib collections typing _ctypes _socket csv dataclasses datetime functools gc heapq itertools json math random re
string threading time tokenize traceback
"""

#: The interpreter and its C library read these when they start and never again: a run that changes one gets a new
#: interpreter. HOME decides where the user's site directory is.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "TZ", "HOME")

_PR_SET_DUMPABLE = 4
_RECEIVE_BYTES = 1 << 16

_WARMING = """
import sys
class A:
    def __init__(self, x): self.x = x
def f(n): return [A(i).x for i in range(n)]
try:
    print(f"{sum(f(9))} {'é'!r}", {"a": 1})
    raise ValueError("x")
except ValueError as error:
    failure = error
sys.stdout.flush()
"""
_WARMING_A_TRACEBACK = """
sys.excepthook(ValueError, failure, failure.__traceback__)
"""


def _wait_for_go() -> "Any":
    """The go message, in the process that is to become the program: this one, or a fork of it."""
    shelf = _fill_shelf(_PRELOADED.split(), lambda: _warm(_WARMING + _WARMING_A_TRACEBACK))
    _ctypes, _socket, gc, json = (shelf[name] for name in ("_ctypes", "_socket", "gc", "json"))
    gc.collect()
    gc.freeze()  # what nobody takes from the shelf is then not torn down at the end, which would take 5 ms
    _renew_main()
    channel = _socket.socket(fileno=int(os.environ.pop("PETRI_WORKER_FD")))
    message = b""
    if os.environ.pop("PETRI_ZYGOTE", None):
        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")
        # A program of an earlier exec has our uid; it must not reach into what later ones are forked from.
        _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0))
        channel.send(b"R")
        channel, message = _serve_forks(channel, _socket)
        _ctypes.call_function(prctl, (_PR_SET_DUMPABLE, 1, 0, 0, 0))
        if not message:
            shelf["threading"].current_thread()._set_native_id()
            _warm(_WARMING)  # what the zygote had warm is shared, and slow to touch for the first time
            json.loads('{"args": [], "env": {"é": "\\n"}}')
    if not message:
        channel.send(b"R")
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[:4], "big"):
        more = channel.recv(_RECEIVE_BYTES)
        if not more:
            os._exit(0)
        message += more
    channel.close()
    return json.loads(message[4:])


def _serve_forks(requests: "Any", _socket: "Any") -> "tuple[Any, bytes]":
    """Fork a child of the agent for every `F`, and return in it, with its channel.

    A zygote that is sent a go message in an `F`'s stead is the worker itself: returns the message's first byte, too.
    Nothing of such a worker is shared, so it ends 1.5 ms sooner than a fork, which copies every page it tears down.
    """
    while True:
        request, rights, _, _ = requests.recvmsg(1, _socket.CMSG_SPACE(16), _socket.MSG_CMSG_CLOEXEC)
        if not request:
            os._exit(0)
        if request != b"F":
            return requests, request
        passed = [int.from_bytes(rights[0][2][at : at + 4], sys.byteorder) for at in range(0, 16, 4)]
        between = os.fork()
        if between:
            for number in passed:
                os.close(number)
            os.waitpid(between, 0)
        elif os.fork():
            os._exit(0)
        else:
            requests.close()
            for number in range(3):
                os.dup2(passed[number], number)
                os.close(passed[number])
            return _socket.socket(fileno=passed[3]), b""


def _warm(source: str) -> None:
    """Take the path that a program takes, its output going nowhere: the first time is the slow one."""
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    exec(compile(source, __file__, "exec"), {"__name__": "__main__"})
    for number, descriptor in enumerate(kept, 1):
        os.dup2(descriptor, number)
    for descriptor in (nowhere, *kept):
        os.close(descriptor)
    for hook in sys.path_hooks:  # Python asks each whether the program is a directory or an archive
        try:  # noqa: SIM105  contextlib is on the shelf
            hook(__file__)
        except ImportError:
            pass


def _renew_main() -> None:
    """A __main__ that is not frozen: the collector must find the program's own objects when the interpreter ends."""
    old = vars(sys.modules["__main__"])
    new = type(sys)("__main__")
    vars(new).update({name: value.copy() if name == "__annotations__" else value for name, value in old.items()})
    sys.modules["__main__"] = new


def _become(program: str, args: list[str], env: dict[str, str], cwd: str) -> None:
    """Take on what the run asked for; where that takes a new interpreter, be that."""
    import site

    try:
        os.chdir(cwd)
    except OSError as error:  # a guest before has shut it: as a shell has it for a command that cannot be started
        os.write(2, f"python3: cannot enter {cwd}: {error.strerror}\n".encode())
        os._exit(126)
    waiting_for = os.path.abspath(sys.argv[0])
    argv = [os.path.basename(program) if os.path.dirname(program) == cwd else program, *args]
    changed = [name for name in os.environ.keys() | env.keys() if os.environ.get(name) != env.get(name)]
    if (
        program != waiting_for
        or any(name.startswith(_READ_AT_START) for name in changed)
        or (site.ENABLE_USER_SITE and site.USER_SITE not in sys.path and os.path.isdir(site.USER_SITE or ""))
    ):
        os.execve(sys.executable, ["python3", *argv], env)
    for name in changed:
        if name in env:
            os.environ[name] = env[name]
        else:
            del os.environ[name]
    sys.argv[:] = argv
    sys.orig_argv[:] = ["python3", *argv]


if "PETRI_WORKER_FD" in os.environ:
    _here = os.path.dirname(__file__)
    del os.environ["PYTHONPATH"], sys.modules[__name__]
    from petri_shelf import fill as _fill_shelf  # type: ignore[import-not-found]

    sys.path.remove(_here)
    sys.path_importer_cache.pop(_here, None)
    del sys.modules["petri_shelf"]
    try:
        # The distribution's own, if it has one. Python takes what it finds under this name when we are done.
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as _error:
        if _error.name != __name__:
            raise
    _go = _wait_for_go()
    _become(_go["program"], _go["args"], _go["env"], _go["cwd"])
    if __name__ not in sys.modules:
        raise ImportError("there is no other sitecustomize", name=__name__)  # as Python expects to be told
