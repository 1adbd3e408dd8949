"""F: have the agent touch a file that it should not: by a link, a path, something that is no file."""

from __future__ import annotations

from tests.attacks.attack import Attack
from tests.attacks.outcome import Blocked
from tests.attacks.scene import Scene

#: What programs/python/f01_links.py leaves in the work directory.
_TRAPS = """
to-etc to-passwd to-tmp to-root to-up to-agent to-fd to-stdout to-cwd to-itself to-dev fifo socket closed
"""
_PATHS = (
    "../x", "/etc/x", "a/../../x", ".", "", "a//../../x", "..", "/proc/self/cwd/x", "a\0b", "x" * 300, "a/" * 300 + "x",
    "../workspace/../tmp/x",
)  # fmt: skip


def _shown(path: str) -> str:
    return repr(path.replace("\0", "NUL") if len(path) < 100 else f"{path[:4]}… ({len(path)} characters)")


def _came_of(scene: Scene, **body: object) -> str:
    answer = scene.request("POST", f"/v1/sandboxes/{scene.sandbox}/exec", code="print('ran')", **body)
    return f"{answer.status_code}" + (f" {answer.json()['code']}" if answer.status_code >= 400 else "")


def write_through_the_links(scene: Scene) -> dict[str, str]:
    """Files and work directories of the next exec, through everything that lies there."""
    found = {}
    for trap in _TRAPS.split():
        found[f"a file at {trap}"] = _came_of(scene, files=[{"path": trap, "content": "x"}])
        found[f"a file in {trap}"] = _came_of(scene, files=[{"path": f"{trap}/evil", "content": "x"}])
        found[f"work in {trap}"] = _came_of(scene, cwd=trap)
    for path in _PATHS:
        found[f"a file at {_shown(path)}"] = _came_of(scene, files=[{"path": path, "content": "x"}])
    look = "cat /tmp/victim /tmp/hard-link; ls -d /tmp/evil /evil /x /tmp/x /etc/evil 2>/dev/null"
    outside = scene.execute(command=look)["stdout"]
    found["change what lies outside"] = "it is as it was" if outside == 2 * "as it was" else outside
    return found


ATTACKS = (
    Attack(
        row="F1",
        name="f01_links",
        aim="Links, pipes and paths that lead out of the work directory, for the next exec's files and cwd to follow",
        expected={
            "python": Blocked(
                attempts={
                    "lay the traps": "ok",
                    **{f"a file at {trap}": "400 invalid_request" for trap in _TRAPS.split()},
                    **{f"a file in {trap}": "400 invalid_request" for trap in _TRAPS.split()},
                    **{f"work in {trap}": "400 invalid_request" for trap in _TRAPS.split()},
                    **{f"a file at {_shown(path)}": "400 invalid_request" for path in _PATHS},
                    "work in closed": "200",  # Python starts there, and says what it could not read
                    "change what lies outside": "it is as it was",
                }
            )
        },
        afterwards=write_through_the_links,
    ),
)
