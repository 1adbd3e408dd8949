"""One worked example of each object, for the OpenAPI document and the docs page. The tests send and check them."""

from __future__ import annotations

_ID = "sb_5f2b8c0e9d7a4e31b6c4a1f08e7d2c93"

RUN_REQUEST = {
    "language": "python",
    "code": "import sys\nprint(input().upper(), sys.argv[1], open('data.csv').read().strip())",
    "files": [{"path": "data.csv", "content": "a,b\n"}],
    "stdin": "hello\n",
    "args": ["x"],
    "env": {"K": "V"},
    "timeout_s": 10,
    "metadata": {"agent": "my-agent"},
}

RUN_ANSWER = {
    "run_id": "run_0c1d5f7e2a9b4c8d8e6f3a2b1c0d9e8f",
    "sandbox_id": _ID,
    "language": "python",
    "status": "succeeded",
    "exit_code": 0,
    "signal": None,
    "stdout": "HELLO x a,b\n",
    "stderr": "",
    "output": "HELLO x a,b\n",
    "stdout_truncated": False,
    "stderr_truncated": False,
    "duration_ms": 1.4,
    "timings_ms": {"queue": 0.0, "lease": 0.3, "run": 1.4, "total": 2.1},
    "error": None,
}

BATCH_REQUEST = {
    "runs": [
        {"id": "one", "language": "python", "code": "print(1)"},
        {"id": "two", "language": "python", "code": "print(2)", "timeout_s": 5},
    ]
}

BATCH_LINE = {"type": "result", "index": 1, "id": "two", "executed": True, "run": RUN_ANSWER}

SANDBOX_REQUEST = {"language": "python", "timeout_s": 300, "env": {"K": "V"}, "metadata": {"agent": "my-agent"}}

SANDBOX_ANSWER = {
    "id": _ID,
    "language": "python",
    "status": "ready",
    "created_at": "2026-01-31T12:00:00.000Z",
    "expires_at": "2026-01-31T12:05:00.000Z",
    "metadata": {"agent": "my-agent"},
}

SANDBOXES_ANSWER = {"sandboxes": [SANDBOX_ANSWER]}

EXEC_REQUEST = {"command": "wc -l < notes.txt", "files": [{"path": "notes.txt", "content": "one\ntwo\n"}]}

EXEC_ANSWER = RUN_ANSWER | {
    "stdout": "2\n",
    "output": "2\n",
    "timings_ms": {"queue": 0.0, "lease": 0.0, "run": 1.4, "total": 1.6},
}

POOLS_ANSWER = {
    "pools": [
        {
            "template": "python",
            "target": 4,
            "sizing": {"because": "low", "low": 4, "high": 24, "arrivals_per_s": 0.2, "boot_s": 0.14},
            "ready": 4,
            "booting": 0,
            "leased": 1,
            "doomed": 0,
            "quarantined": 0,
            "waiting": 0,
            "refill_per_s": 5.2,
            "image": "sha256:9f1c…",
            "engine": "Docker 20.10.24",
            "freezer": "cgroup v1",
            "trouble": None,
            "boot_failures": {},
        }
    ]
}

POOL_SANDBOXES_ANSWER = {
    "template": "python",
    "sandboxes": [{"id": _ID, "state": "ready", "seconds": 41.207, "reason": "warm and frozen"}],
    "left_out": 0,
}
