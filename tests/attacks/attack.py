"""One attack: a row of the threat model, the program that makes it, and what must come of it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pool.seccomp.linux import AARCH64, X86_64
from tests.attacks.outcome import Expected

if TYPE_CHECKING:
    from tests.attacks.scene import Scene
    from tests.docker.conftest import Petri

PROGRAMS = Path(__file__).parent / "programs"
EXTENSIONS = {"python": "py", "node": "js", "go": "go"}
#: What an attack's program may import: each language's way to try something and to report what came of it.
BESIDE = {"python": "attempt.py", "node": "attempt.js"}


@dataclass(frozen=True)
class Attack:
    """`row` of docs/security.md, made by `programs/<language>/<name>` in every language that `expected` has.

    `afterwards` goes on while the sandbox is still there, the program then being run in a session, and returns what
    more was attempted, with what came of it.
    """

    row: str
    name: str
    aim: str  # one sentence, as the attacker would say it
    expected: Mapping[str, Expected]  # by language
    request: Mapping[str, Any] = field(default_factory=dict)  # of the run: timeout_s, env, args …
    told: Callable[[Petri], str] | None = None  # what the attacker has learnt of the host: the program's one argument
    afterwards: Callable[[Scene], Mapping[str, str]] | None = None

    def __str__(self) -> str:
        return self.name

    def program(self, language: str) -> str:
        return (PROGRAMS / language / f"{self.name}.{EXTENSIONS[language]}").read_text()

    def body(self, language: str, petri: Petri) -> dict[str, Any]:
        """The run's request, but for its language."""
        files = {}
        if language in BESIDE:
            files[BESIDE[language]] = (PROGRAMS / language / BESIDE[language]).read_text()
        if language == "python":
            files["calls.json"] = json.dumps(AARCH64 if platform.machine() == "aarch64" else X86_64)
        beside = [{"path": name, "content": content} for name, content in files.items()]
        args = [] if self.told is None else [self.told(petri)]
        return {"code": self.program(language), "files": beside, "args": args, **self.request}


def in_every_language(expected: Expected) -> dict[str, Expected]:
    return dict.fromkeys(EXTENSIONS, expected)
