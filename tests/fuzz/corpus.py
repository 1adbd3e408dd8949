"""Lies that an agent can tell, by name: what it says once a run has begun on stream 1, and what becomes of that run.

A run has LIMITS and the host knows no other. A lie is played at every level: over a bare channel and behind real HTTP.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from runners.wire import Frame, Kind, encode

#: Of every run that is lied to: kept of each stream, and allowed of both.
STREAM_LIMIT, OUTPUT_LIMIT = 4 << 10, 16 << 10

LOST = "sandbox_lost"


@dataclass(frozen=True)
class Lie:
    """`status` is the run's, or LOST. `leaves`: the agent closes its end then; otherwise it is silent and stays."""

    said: bytes
    status: str
    leaves: bool = False
    refuses: bool = False  # lawfully: it says that it ran nothing
    spent: bool = False  # the run has an outcome, and its sandbox is not fit for another


def frame(kind: int, payload: bytes = b"", *, stream: int = 1, length: int | None = None) -> bytes:
    """Bytes of a frame that need not be lawful."""
    return struct.pack(">BII", kind, stream, len(payload) if length is None else length) + payload


def exits(**members: object) -> bytes:
    return frame(Kind.EXIT, json.dumps({"exit_code": 0, "signal": None, **members}).encode())


def output(size: int, kind: Kind = Kind.STDOUT, each: int = 1000) -> bytes:
    return b"".join(frame(kind, b"x" * min(each, size - at)) for at in range(0, size, each))


_DONE = exits()
_EXIT = b'"exit_code": 0, "signal": null'
_HELLO = b'{"protocol": 1, "agent": "x", "language": "python", "language_version": "3"}'
_REFUSAL = b'{"code": "worker_failed", "message": "no"}'

TORN = {
    "a header cut off": Lie(frame(Kind.STDOUT, b"x")[:5], LOST, leaves=True),
    "a payload cut off": Lie(frame(Kind.STDOUT, b"x" * 100)[:50], LOST, leaves=True),
    "an exit cut off": Lie(_DONE[:-1], LOST, leaves=True),
    "half a frame and silence": Lie(_DONE[:-1], "timed_out", spent=True),
    "a megabyte announced and silence": Lie(frame(Kind.DONE, length=1 << 20), "timed_out", spent=True),
    "nothing at all": Lie(b"", "timed_out", spent=True),
    "nothing, and it leaves": Lie(b"", LOST, leaves=True),
    "output and it leaves": Lie(output(10), LOST, leaves=True),
    "output and silence": Lie(output(10), "timed_out", spent=True),
}

OVERSIZE = {
    "an output frame a byte too long": Lie(frame(Kind.STDOUT, length=(64 << 10) + 1), LOST),
    "an exit too long": Lie(frame(Kind.EXIT, length=(64 << 10) + 1), LOST),
    "a refusal too long": Lie(frame(Kind.ERROR, length=(64 << 10) + 1), LOST),
    "four gigabytes announced": Lie(frame(Kind.CONTENT, length=0xFFFFFFFF), LOST),
    "a whole megabyte that nobody asked for": Lie(encode(Frame(Kind.CONTENT, 1, bytes(1 << 20))), LOST),
    "a megabyte of one bits": Lie(b"\xff" * (1 << 20), LOST),
    "a megabyte of zeros": Lie(bytes(1 << 20), LOST),
}

ORDER = {
    "output after the end": Lie(_DONE + output(10), "succeeded", spent=True),
    "the end twice": Lie(_DONE + _DONE, "succeeded", spent=True),
    "two ends that differ": Lie(exits(exit_code=3) + exits(exit_code=0), "failed", spent=True),
    "an end and a refusal": Lie(_DONE + frame(Kind.ERROR, _REFUSAL), "succeeded", spent=True),
    "an end and garbage": Lie(_DONE + b"\xff" * 40, "succeeded", spent=True),
    "an end and half a frame": Lie(_DONE + frame(Kind.STDOUT, b"x")[:-1], "succeeded", spent=True),
    "an end and a megabyte": Lie(_DONE + output(1 << 20), "succeeded", spent=True),
    "a refusal after output": Lie(output(10) + frame(Kind.ERROR, _REFUSAL), LOST),
    "a second hello": Lie(frame(Kind.HELLO, _HELLO, stream=0) + _DONE, LOST),
    "a hello on the run's stream": Lie(frame(Kind.HELLO, _HELLO) + _DONE, LOST),
    "a file's content": Lie(frame(Kind.CONTENT, b"x") + _DONE, LOST),
    "a file's end": Lie(frame(Kind.DONE, b"{}") + _DONE, LOST),
    "its last words and then an end": Lie(frame(Kind.ERROR, _REFUSAL, stream=0) + _DONE, LOST),
}

STREAMS = {
    f"{kind.name} on stream {stream}": Lie(frame(kind, payload, stream=stream) + _DONE, LOST)
    for kind, payload in ((Kind.STDOUT, b"x"), (Kind.EXIT, b"{" + _EXIT + b"}"), (Kind.ERROR, _REFUSAL))
    for stream in (0, 2, 0x7FFFFFFF, 0xFFFFFFFF)
}

KINDS = {f"kind 0x{kind:02x}": Lie(frame(kind) + _DONE, LOST) for kind in (0x00, 0x0B, 0x7F, 0x80, 0x88, 0xFF)} | {
    f"{kind.name} from the agent": Lie(frame(kind, b"x") + _DONE, LOST) for kind in Kind if not kind.from_agent
}

_PAYLOADS = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "a string": b'"exit"',
    "an empty object": b"{}",
    "no ending": b'{"exit_code": null, "signal": null}',
    "two endings": b'{"exit_code": 1, "signal": 9}',
    "half of it": b"{" + _EXIT,
    "two of it": (b"{" + _EXIT + b"}") * 2,
    "a NUL behind it": b"{" + _EXIT + b"}\0",
    "a byte order mark": b"\xef\xbb\xbf{" + _EXIT + b"}",
    "UTF-16": ("{" + _EXIT.decode() + "}").encode("utf-16"),
    "bytes that are not UTF-8": b"{" + _EXIT + b', "x": "\xc3\x28"}',
    "half a surrogate": b"{" + _EXIT + b', "x": "\\ud800"}',
    "depth": b"{" + _EXIT + b', "x": ' + b"[" * 60_000 + b"}",
    "closed depth": b"{" + _EXIT + b', "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "an exit code as text": b'{"exit_code": "0", "signal": null}',
    "an exit code as truth": b'{"exit_code": true, "signal": null}',
    "an exit code with a fraction": b'{"exit_code": 0.5, "signal": null}',
    "an exit code with a point": b'{"exit_code": 0.0, "signal": null}',
    "an exit code that is not a number": b'{"exit_code": NaN, "signal": null}',
    "an infinite exit code": b'{"exit_code": Infinity, "signal": null}',
    "a negative exit code": b'{"exit_code": -1, "signal": null}',
    "exit code 256": b'{"exit_code": 256, "signal": null}',
    "an exit code of 64 bits": b'{"exit_code": 18446744073709551615, "signal": null}',
    "an exit code of 4300 digits": b'{"exit_code": ' + b"9" * 4300 + b', "signal": null}',
    "an exit code of 60000 digits": b'{"exit_code": ' + b"9" * 60_000 + b', "signal": null}',
    "signal 0": b'{"exit_code": null, "signal": 0}',
    "signal 65": b'{"exit_code": null, "signal": 65}',
    "a negative signal": b'{"exit_code": null, "signal": -9}',
    "a signal's name": b'{"exit_code": null, "signal": "SIGKILL"}',
    "a negative duration": b"{" + _EXIT + b', "duration_us": -1}',
    "a duration beyond 64 bits": b"{" + _EXIT + b', "duration_us": 9223372036854775808}',
    "a duration of 4300 digits": b"{" + _EXIT + b', "duration_us": ' + b"9" * 4300 + b"}",
    "memory that is not a number": b"{" + _EXIT + b', "max_rss_kib": NaN}',
    "a flag that is a number": b"{" + _EXIT + b', "timed_out": 1}',
    "a flag that is null": b"{" + _EXIT + b', "output_limit": null}',
}

REPORTS = {f"an EXIT that is {name}": Lie(frame(Kind.EXIT, payload), LOST) for name, payload in _PAYLOADS.items()} | {
    "an ERROR that is empty": Lie(frame(Kind.ERROR), LOST),
    "an ERROR without a code": Lie(frame(Kind.ERROR, b'{"message": "x"}'), LOST),
    "an ERROR with an endless code": Lie(frame(Kind.ERROR, b'{"code": "%s", "message": ""}' % (b"x" * 9000)), LOST),
    "an ERROR for a terminal": Lie(
        frame(Kind.ERROR, b'{"code": "\\u001b[2J", "message": "a\\nWARNING b\\u202e\\u0000"}'),
        LOST,
        refuses=True,
    ),
}

#: Odd, and lawful: unknown members are additions, and a member said twice counts as said last.
LAWFUL = {
    "an unknown member": Lie(exits(tomorrow={"a": [1]}), "succeeded"),
    "many unknown members": Lie(exits(**{str(n): n for n in range(4000)}), "succeeded"),
    "an unknown member that is not a number": Lie(frame(Kind.EXIT, b"{" + _EXIT + b', "x": NaN}'), "succeeded"),
    "an unknown member of 4300 digits": Lie(
        frame(Kind.EXIT, b"{" + _EXIT + b', "x": ' + b"9" * 4300 + b"}"), "succeeded"
    ),
    "a member twice": Lie(frame(Kind.EXIT, b"{" + _EXIT + b', "exit_code": 7}'), "failed"),
    "the last signal there is": Lie(exits(exit_code=None, signal=64), "failed"),
    "output byte by byte": Lie(output(2000, each=1) + _DONE, "succeeded"),
}

CLAIMS = {
    "a timeout at once": Lie(exits(exit_code=None, signal=9, timed_out=True), LOST),
    "an output limit without output": Lie(exits(exit_code=None, signal=9, output_limit=True), LOST),
    "an output limit with too little": Lie(output(STREAM_LIMIT - 1) + exits(output_limit=True), LOST),
    "standard output dropped that was short": Lie(output(10) + exits(stdout_truncated=True), LOST),
    "standard error dropped that was short": Lie(output(STREAM_LIMIT) + exits(stderr_truncated=True), LOST),
    "an output limit that may be": Lie(output(STREAM_LIMIT) + exits(output_limit=True), "output_limit"),
    "output dropped that may be": Lie(output(STREAM_LIMIT) + exits(stdout_truncated=True), "succeeded"),
    "an endless duration": Lie(exits(duration_us=(1 << 63) - 1, cpu_us=0, max_rss_kib=1 << 60), "succeeded"),
}

AMOUNTS = {
    "more than is kept": Lie(output(STREAM_LIMIT + 1) + _DONE, "succeeded", spent=True),
    "more than is kept, on standard error": Lie(output(OUTPUT_LIMIT, Kind.STDERR) + _DONE, "succeeded", spent=True),
    "more than is allowed, and silence": Lie(output(OUTPUT_LIMIT + 1), "output_limit", spent=True),
    "more than is allowed, on both": Lie(output(9000) + output(9000, Kind.STDERR), "output_limit", spent=True),
    "more than is allowed, and a good end": Lie(output(OUTPUT_LIMIT + 1) + _DONE, "output_limit", spent=True),
    "a megabyte of output": Lie(output(1 << 20, each=64 << 10), "output_limit", spent=True),
    "empty output": Lie(frame(Kind.STDOUT) + _DONE, LOST),
    "empty output a hundred thousand times": Lie(frame(Kind.STDERR) * 100_000, LOST),
}

GROUPS: dict[str, dict[str, Lie]] = {
    "torn": TORN,
    "oversize": OVERSIZE,
    "order": ORDER,
    "streams": STREAMS,
    "kinds": KINDS,
    "reports": REPORTS,
    "lawful": LAWFUL,
    "claims": CLAIMS,
    "amounts": AMOUNTS,
}
LIES: dict[str, Lie] = {name: lie for group in GROUPS.values() for name, lie in group.items()}
