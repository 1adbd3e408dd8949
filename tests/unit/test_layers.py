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
#: The module that talks to the engine. Whoever reaches it can be root on the host.
ENGINE = "pool.engine_api"


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


def reachable(packages: set[str]) -> dict[str, str]:
    """Every module of ours that is imported when these packages are, and by whom."""
    found = {name_of(path): "itself" for package in packages for path in modules(package)}
    queue = list(found)
    while queue:
        importer = queue.pop()
        for name in imports(path_of(importer)):
            if path_of(name).exists() and name not in found:
                found[name] = importer
                queue.append(name)
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def path_of(name: str) -> Path:
    file = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return file if file.exists() else ROOT.joinpath(*name.split("."), "__init__.py")


def test_the_gateway_cannot_reach_the_engine():
    found = reachable({"gateway"})
    assert "pool.messages" in found  # it looks where it should
    assert ENGINE not in found, f"imported by {found[ENGINE]}"


def test_one_module_of_the_pool_knows_dockers_package():
    holders = {name_of(path) for path in modules("pool") if any(n.split(".")[0] == "docker" for n in imports(path))}
    assert holders == {ENGINE}


def test_the_pool_daemon_never_parses_what_a_used_sandbox_says():
    # The daemon hands the stream over and closes its end; frames of a run are the gateway's.
    for path in modules("pool"):
        if path.name != "testing.py":
            assert "runners.execution" not in imports(path), path
