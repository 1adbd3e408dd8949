"""Arrows point one way: runners ← pool ← gateway ← petri; and privilege stays away from hostile bytes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABOVE = {
    "runners": {"pool", "gateway", "petri"},
    "pool": {"gateway", "petri", "starlette", "uvicorn", "prometheus_client"},
    "gateway": {"petri", "docker", "runners.images"},
}
#: The modules that talk to the engine.
HOLDS_THE_ENGINE = {"pool/engine_api.py"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def modules(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]


@pytest.mark.parametrize("package", ABOVE)
def test_no_package_imports_one_above_it(package):
    for path in modules(package):
        wrong = {
            name for name in imports(path) if any(name == up or name.startswith(up + ".") for up in ABOVE[package])
        }
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_one_module_of_the_pool_holds_the_engine():
    holders = {
        str(path.relative_to(ROOT))
        for path in modules("pool")
        if any(name.split(".")[0] == "docker" for name in imports(path))
    }
    assert holders == HOLDS_THE_ENGINE


def test_the_pool_daemon_never_parses_what_a_used_sandbox_says():
    # The daemon hands the stream over and closes its end; frames of a run are the gateway's.
    for path in modules("pool"):
        if path.name != "testing.py":
            assert "runners.execution" not in imports(path), path
