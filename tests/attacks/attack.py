"""One attack: a row of the threat model, the program that makes it, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.attacks.outcome import Expected

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

PROGRAMS = Path(__file__).parent / "programs"
EXTENSIONS = {"python": "py", "node": "js", "go": "go"}
#: What an attack's program may import: each language's way to try something and to report what came of it.
BESIDE = {"python": "attempt.py", "node": "attempt.js"}


@dataclass(frozen=True)
class Attack:
    """`row` of docs/security.md, made by `programs/<language>/<name>` in every language that `expected` has.

    `afterwards` looks further while the sandbox is still there: the program is then run in a session.
    """

    row: str
    name: str
    aim: str  # one sentence, as the attacker would say it
    expected: Mapping[str, Expected]  # by language
    request: Mapping[str, Any] = field(default_factory=dict)  # of the run: timeout_s, env, args …
    afterwards: Callable[[Scene], None] | None = None

    def __str__(self) -> str:
        return self.name

    def program(self, language: str) -> str:
        return (PROGRAMS / language / f"{self.name}.{EXTENSIONS[language]}").read_text()

    def body(self, language: str) -> dict[str, Any]:
        """The run's request, but for its language."""
        beside = [BESIDE[language]] if language in BESIDE else []
        files = [{"path": name, "content": (PROGRAMS / language / name).read_text()} for name in beside]
        return {"code": self.program(language), "files": files, **self.request}


def in_every_language(expected: Expected) -> dict[str, Expected]:
    return dict.fromkeys(EXTENSIONS, expected)
