"""The programs that every worker must run as running the file does, and what is to be given to each.

A program is `<name>.<extension>`, or a directory `<name>` with `main.<extension>` and the files that lie beside it. A
name that ends in `.hex` holds a file's bytes in hexadecimal: what no editor would leave as it is. `case.toml` may say

    args = ["x"]            stdin = "text", or stdin_hex = "00ff"; stdin_repeat = 1000 gives it so often
    env = { K = "V" }       plain = "main.mjs": the name under which the file is run plainly, where it is another
    normalise = ["…"]       what differs between any two runs, by name: see NORMALISE
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent
EXTENSIONS = {"python": "py", "node": "js", "go": "go"}

#: What differs from run to run of the same file. Each rule is as narrow as can be, and a program names those it needs.
NORMALISE: Mapping[str, tuple[bytes, bytes]] = {
    "hex_addresses": (rb"0x[0-9a-f]+", b"0x..."),
    "thread_identities": (rb"started \d+\)", b"started ...)"),
    "process_ids": (rb"(\(node:|pid: )\d+", rb"\1..."),
    "go_build_directory": (rb"/go-build\d+/", b"/go-build.../"),
    "goroutine_numbers": (rb"goroutine \d+", b"goroutine ..."),
    "frames_elided": (rb"\d+ frames elided", b"... frames elided"),
    "thread_numbers": (rb"\bm=\d+", b"m=..."),
}


#: What a caller sees of a run: standard output, standard error, and how it ended.
Seen = tuple[bytes, bytes, str]


@dataclass(frozen=True)
class Case:
    """One program and what it is given."""

    language: str
    name: str
    files: Mapping[str, bytes]
    args: Sequence[str] = ()
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    plain: str = ""
    normalise: Sequence[str] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def program(self) -> str:
        return f"main.{EXTENSIONS[self.language]}"

    @property
    def plain_files(self) -> dict[str, bytes]:
        """The files of a plain run: the program under the name that it is run by."""
        files = dict(self.files)
        files[self.plain] = files.pop(self.program)
        return files

    @property
    def plain_command(self) -> list[str]:
        command = {"python": ["python3"], "node": ["node"], "go": ["go", "run"]}[self.language]
        return [*command, self.plain, *self.args]

    def seen(self, stdout: bytes, stderr: bytes, ending: str) -> Seen:
        """What a caller sees of a run, less what this case says is different every time."""
        for rule in self.normalise:
            pattern, replacement = NORMALISE[rule]
            stdout, stderr = (re.sub(pattern, replacement, text) for text in (stdout, stderr))
        return stdout, stderr, ending


def cases(language: str, *names: str) -> list[Case]:
    """All programs of a language in order of their names, or the named ones in the order given."""
    found = {case.name: case for case in map(lambda path: _case(language, path), _paths(language))}
    return [found[name] for name in names] if names else list(found.values())


def each(language: str, *names: str) -> list[object]:
    """`cases` as pytest parameters."""
    return [pytest.param(case, id=f"{language}-{case.name}") for case in cases(language, *names)]


def _paths(language: str) -> list[Path]:
    return sorted(path for path in (PROGRAMS / language).iterdir() if path.name != "__pycache__")


def _case(language: str, path: Path) -> Case:
    program = f"main.{EXTENSIONS[language]}"
    if path.is_file():
        return Case(language, path.stem, {program: path.read_bytes()}, plain=program)
    files: dict[str, bytes] = {}
    for file in sorted(file for file in path.rglob("*") if file.is_file() and file.name != "case.toml"):
        name = str(file.relative_to(path))
        content = file.read_bytes()
        if name.endswith(".hex"):
            name, content = name.removesuffix(".hex"), bytes.fromhex(content.decode())
        files[name] = content
    said = tomllib.loads((path / "case.toml").read_text()) if (path / "case.toml").exists() else {}
    text = bytes.fromhex(said["stdin_hex"]) if "stdin_hex" in said else said.get("stdin", "").encode()
    return Case(
        language,
        path.name,
        files,
        args=said.get("args", []),
        stdin=text * said.get("stdin_repeat", 1),
        env=said.get("env", {}),
        plain=said.get("plain", program),
        normalise=said.get("normalise", []),
    )
