"""The tenant next door: a sandbox that works all through an attack, and must get everything right."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

#: Adds up the primes below 10,000; reads what the last run left in its temporary directory and leaves something for the
#: next; and asks for what a user id has only so much of. Prints three words.
PROGRAMS = {
    "python": """
import fcntl, os, select, sys
from pathlib import Path
primes = [n for n in range(2, 10_000) if all(n % d for d in range(2, int(n ** 0.5) + 1))]
note = Path("/tmp/note")
last = note.read_text() if note.exists() else "0"
note.write_text(str(int(last) + 1))
reading, writing = os.pipe()
print(sum(primes), last, fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 256 << 10))
""",
    "node": """
const fs = require('fs')
const prime = n => { for (let d = 2; d * d <= n; d++) if (n % d === 0) return false; return true }
let sum = 0
for (let n = 2; n < 10_000; n++) if (prime(n)) sum += n
const last = fs.existsSync('/tmp/note') ? fs.readFileSync('/tmp/note', 'utf8') : '0'
fs.writeFileSync('/tmp/note', String(Number(last) + 1))
fs.watch('/tmp', () => {}).close()
console.log(sum, last, 262144)
""",
    "go": """
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

func main() {
	sum := 0
next:
	for n := 2; n < 10_000; n++ {
		for d := 2; d*d <= n; d++ {
			if n%d == 0 {
				continue next
			}
		}
		sum += n
	}
	last := 0
	if text, err := os.ReadFile("/tmp/note"); err == nil {
		last, _ = strconv.Atoi(string(text))
	}
	os.WriteFile("/tmp/note", []byte(strconv.Itoa(last+1)), 0o600)
	_, writing, _ := os.Pipe()
	size, _, _ := syscall.Syscall(syscall.SYS_FCNTL, writing.Fd(), 1031, 256<<10)
	fmt.Println(sum, last, size)
}
""",
}
SUM_OF_PRIMES = 5_736_396


@dataclass
class Neighbour:
    """One sandbox for the whole module, so that a late effect of an attack is found out, too."""

    language: str
    client: httpx.Client
    sandbox: str
    runs: int = 0
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @classmethod
    def moves_in(cls, client: httpx.Client, language: str) -> Neighbour:
        answer = client.post("/v1/sandboxes", json={"language": language, "timeout_s": 3600})
        assert answer.status_code == 201, answer.text
        return cls(language, client, answer.json()["id"])

    def work_once(self) -> None:
        started = time.monotonic()
        body: dict[str, Any] = {"code": PROGRAMS[self.language], "timeout_s": 30}
        answer = self.client.post(f"/v1/sandboxes/{self.sandbox}/exec", json=body)
        right = f"{SUM_OF_PRIMES} {self.runs} {256 << 10}\n"
        if answer.status_code != 200 or (answer.json()["status"], answer.json()["output"]) != ("succeeded", right):
            self.faults.append(f"expected {right!r}, got {answer.text}")
        self.runs += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)


class AtWork:
    """Have a neighbour work without a pause for as long as a block takes: from before its start to after its end."""

    def __init__(self, neighbour: Neighbour) -> None:
        self._neighbour = neighbour
        self._begun, self._enough = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._enough.is_set():
            self._begun.set()
            self._neighbour.work_once()

    def __enter__(self) -> Neighbour:
        self._neighbour.slowest_s = 0.0
        self._thread.start()
        self._begun.wait()
        return self._neighbour

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)
        if self._thread.is_alive():
            self._neighbour.faults.append("it did not finish")
