"""A gateway takes the descriptors that its connections need, and allows no more connections than it has those for."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: In a process of its own: a hard limit that was lowered cannot be raised again.
_CHILD = """
import logging, resource, sys
from gateway.serve import _within_descriptors
from gateway.settings import GatewaySettings
logging.basicConfig(format="%(message)s", stream=sys.stdout)
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
settings = _within_descriptors(GatewaySettings(max_connections=1000))
print(settings.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "descriptors", "warns"),
    [
        (4096, 4096, 1000, 4096, False),
        (256, 4096, 1000, 1512, False),
        (256, 700, 188, 700, True),
    ],
)
def test_descriptors_are_taken_up_to_what_is_allowed(
    soft: int, hard: int, connections: int, descriptors: int, warns: bool
) -> None:
    child = [sys.executable, "-c", _CHILD, str(soft), str(hard)]
    said = subprocess.run(child, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[-1] == f"{connections} {descriptors}"
    assert [line.startswith(f"at most {connections} connections") for line in said[:-1]] == [True] * warns
