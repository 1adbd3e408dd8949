"""Find the faults that no single field shows: among the members as they were sent, so that all are named at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from gateway.problems import Fault
from gateway.schema import MAX_ENV, MAX_FILES, MAX_METADATA, MAX_PATH_BYTES
from pool.template import Template
from runners.execution import Execution

Members = Mapping[str, object]

#: Bytes of arguments, variables, command, directory and file paths of one run, together. They travel in one frame of
#: 1 MiB, in which JSON may write a byte as six; and the kernel takes no single argument above 128 KiB.
MAX_COMMAND_BYTES = 120 << 10

#: What the agent keeps of a standard input that the guest does not read; with more it ends the run.
MAX_STDIN_BYTES = 16 << 20

#: Members of one object. No request has a third of this; each unknown one costs a line of the answer, and half a
#: million of them (they fit into the body's cap) would keep the event loop busy for seconds.
_MAX_MEMBERS = 64

#: Names the program may have in the work directory; a file of that name would take its place.
_PROGRAM_NAMES = {"python": ("main.py",), "node": ("main.js", "main.mjs"), "go": ("main.go",)}


def crowded(members: Members) -> list[Fault]:
    """Objects with so many members that looking at each is not worth the time. Asked before anything else."""
    faults = []
    if len(members) > _MAX_MEMBERS:
        faults.append(Fault("body", f"has {len(members)} members; at most {_MAX_MEMBERS}"))
    for field, most in (("env", MAX_ENV), ("metadata", MAX_METADATA)):
        value = members.get(field)
        if isinstance(value, dict) and len(value) > most:
            faults.append(Fault(field, f"has {len(value)} entries; at most {most}"))
    files = members.get("files")
    if isinstance(files, list):
        if len(files) > MAX_FILES:
            faults.append(Fault("files", f"has {len(files)} entries; at most {MAX_FILES}"))
        for index, file in enumerate(files[:MAX_FILES]):
            if isinstance(file, dict) and len(file) > _MAX_MEMBERS:
                faults.append(Fault(f"files[{index}]", f"has {len(file)} members; at most {_MAX_MEMBERS}"))
    return faults


def above(field: str, members: Members, most: float) -> Iterator[Fault]:
    """A number of seconds over its maximum."""
    value = members.get(field)
    if isinstance(value, int | float) and value > most:
        yield Fault(field, f"must be at most {most:g} (seconds)")


def program_choice(members: Members) -> Iterator[Fault]:
    """Anything but exactly one of the three ways to say what to run."""
    given = [name for name in ("code", "command", "argv") if members.get(name) is not None]
    if len(given) != 1:
        for name in given or ["code"]:
            yield Fault(name, f"exactly one of code, command and argv is needed; given: {', '.join(given) or 'none'}")


def colliding_paths(members: Members, language: str | None) -> Iterator[Fault]:
    """Files that would take each other's place, or that of the program in `language` (None: no program)."""
    files = members.get("files")
    if not isinstance(files, list):
        return
    reserved = _PROGRAM_NAMES[language] if language is not None else ()
    paths = [
        (path.split("/"), index)
        for index, path in ((index, file.get("path")) for index, file in enumerate(files) if isinstance(file, dict))
        if isinstance(path, str) and len(path) <= MAX_PATH_BYTES
    ]
    for components, index in paths:
        if components[0] in reserved:
            what = "is" if len(components) == 1 else "makes a directory of"
            yield Fault(f"files[{index}].path", f"{what} {components[0]}, the program's own name")
    # Sorted by component, a path is followed at once by its equal or by what would lie beneath it.
    for (upper, first), (lower, second) in pairwise(sorted(paths)):
        if upper == lower:
            yield Fault(f"files[{second}].path", f"is the same as files[{first}].path")
        elif lower[: len(upper)] == upper:
            yield Fault(f"files[{first}].path", f"is a directory in files[{second}].path")


def sizes(execution: Execution, template: Template) -> Iterator[Fault]:
    """What does not fit: into the work directory, or into the frame that carries the command."""
    room = template.workdir_mib << 20
    content = sum(len(file.content) for file in execution.files)
    if content > room:
        field = "code" if len(execution.files) == 1 and execution.program is not None else "files"
        yield Fault(field, f"code and files are {content} bytes; the work directory holds {room}")
    if len(execution.stdin) > MAX_STDIN_BYTES:
        yield Fault("stdin", f"is {len(execution.stdin)} bytes; at most {MAX_STDIN_BYTES}")
    yield from command_size(
        args=[*execution.args, *(execution.argv or ()), execution.cwd or ""],
        env=[text for pair in execution.env.items() for text in pair],
        files=[file.path for file in execution.files],
    )


def command_size(**parts: Sequence[str]) -> Iterator[Fault]:
    """`parts` are texts by the field they came from; the fault is put down to the longest."""
    bytes_of = {field: sum(len(text.encode()) for text in texts) for field, texts in parts.items()}
    total = sum(bytes_of.values())
    if total > MAX_COMMAND_BYTES:
        field = max(bytes_of, key=bytes_of.__getitem__)
        yield Fault(
            field, f"arguments, variables, command and paths are {total} bytes together; at most {MAX_COMMAND_BYTES}"
        )
