"""Turn a JSON body into something to run, whole and checked, or name every fault in it; before anything is leased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gateway import faults
from gateway.faults import Members
from gateway.problems import Fault, Problem, invalid
from gateway.schema import ExecRequest, File, OutputEncoding, RunRequest, SandboxRequest
from pool.template import Template
from pool.waiting import Priority
from runners.execution import Execution, ProgramFile

Templates = Mapping[str, Template]

#: The protocol counts a run's time in milliseconds, and 0 is no time: less than this is taken as this.
_SHORTEST_RUN_S = 0.001
#: Faults named in one answer. Nobody mends more at a time, and a thousand bad files should not make a longer answer
#: than their request was.
_MAX_NAMED = 100

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was understood: what to run, of which template, and how to write its output."""

    template: Template
    execution: Execution
    output_encoding: OutputEncoding
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True)
class SandboxPlan:
    """A session that was understood."""

    template: Template
    ttl_s: float
    env: Mapping[str, str]
    metadata: Mapping[str, str]
    priority: Priority = Priority.INTERACTIVE


def plan_run(body: object, templates: Templates) -> Plan:
    """`POST /v1/run`."""
    members = _members(body)
    template = _template(members, templates)
    found = chain(
        faults.above("timeout_s", members, template.max_timeout_s) if template else (),
        faults.colliding_paths(members, template.language if template else None),
    )
    request = _checked(RunRequest, body, found, unknown=None if template else _unknown_language(members, templates))
    template = templates[request.language]
    execution = Execution(
        program=template.program,
        files=[ProgramFile(template.program, request.code.encode()), *_files(request.files)],
        stdin=request.stdin.encode(),
        args=request.args,
        env=request.env,
        timeout_s=_timeout(request.timeout_s, template),
        stream_limit=template.stream_limit_kib << 10,
        output_limit=template.output_limit_kib << 10,
        last=True,
    )
    _refuse(faults.sizes(execution, template))
    return Plan(template, execution, request.output_encoding, Priority(request.priority))


def plan_exec(body: object, template: Template, env: Mapping[str, str]) -> Plan:
    """`POST /v1/sandboxes/{id}/exec`, in a sandbox of `template` that was created with `env`."""
    members = _members(body)
    with_program = members.get("code") is not None
    found = chain(
        faults.program_choice(members),
        faults.above("timeout_s", members, template.max_timeout_s),
        faults.colliding_paths(members, template.language if with_program else None),
    )
    request = _checked(ExecRequest, body, found)
    program, argv = (template.program, None) if request.code is not None else (None, _argv(request))
    files = _files(request.files)
    if request.code is not None:
        files.insert(0, ProgramFile(template.program, request.code.encode()))
    execution = Execution(
        program=program,
        argv=argv,
        files=files,
        stdin=request.stdin.encode(),
        args=request.args if argv is None else (),
        env={**env, **request.env},
        cwd=request.cwd or None,
        timeout_s=_timeout(request.timeout_s, template),
        stream_limit=template.stream_limit_kib << 10,
        output_limit=template.output_limit_kib << 10,
    )
    _refuse(faults.sizes(execution, template))
    return Plan(template, execution, request.output_encoding)


def plan_sandbox(body: object, templates: Templates, *, ttl_s: float, max_ttl_s: float) -> SandboxPlan:
    """`POST /v1/sandboxes`; `ttl_s` is the life of one that asks for none."""
    members = _members(body)
    template = _template(members, templates)
    found = faults.above("timeout_s", members, max_ttl_s)
    request = _checked(SandboxRequest, body, found, unknown=None if template else _unknown_language(members, templates))
    _refuse(faults.command_size(env=list(chain.from_iterable(request.env.items()))))
    lives_s = ttl_s if request.timeout_s is None else request.timeout_s
    priority = Priority(request.priority)
    return SandboxPlan(templates[request.language], lives_s, request.env, request.metadata, priority)


def _argv(request: ExecRequest) -> list[str]:
    if request.command is None:
        return [*(request.argv or ()), *request.args]
    # sh takes what follows the command as $0, $1, …; `args` begin at $1, as for any script.
    return ["/bin/sh", "-c", request.command, *(["sh", *request.args] if request.args else [])]


def _files(files: Sequence[File]) -> list[ProgramFile]:
    return [ProgramFile(file.path, file.content) for file in files]


def _timeout(asked_s: float | None, template: Template) -> float:
    return template.timeout_s if asked_s is None else max(asked_s, _SHORTEST_RUN_S)


def _members(body: object) -> Members:
    """The body's members, if it is an object at all and one that can be gone through."""
    members = body if isinstance(body, dict) else {}
    _refuse(faults.crowded(members))
    return members


def _template(members: Members, templates: Templates) -> Template | None:
    language = members.get("language")
    return templates.get(language) if isinstance(language, str) else None


def _unknown_language(members: Members, templates: Templates) -> str | None:
    language = members.get("language")
    if not isinstance(language, str):
        return None  # the model says what is wrong with it
    return f"there is no language {language[:63]!r}; there are: {', '.join(sorted(templates))}"


def _checked(model: type[_Model], body: object, found: Iterable[Fault], *, unknown: str | None = None) -> _Model:
    """`body` as `model`. A `Problem` otherwise, with what the model finds and what was `found` besides.

    An unknown language alone is a 404 of its own; among other faults it is one of them.
    """
    named = list(found)
    request: _Model | None = None
    try:
        request = model.model_validate(body)
    except ValidationError as error:
        by_model = [_fault(one["loc"], one["type"], one["msg"]) for one in error.errors(include_url=False)]
        # What is wrong with a field's form comes first, and is not said again in other words.
        fields = {fault.field for fault in by_model}
        named = by_model + [fault for fault in named if fault.field not in fields]
    if unknown is not None and not named:
        raise Problem("unknown_language", unknown)
    if unknown is not None:
        named.append(Fault("language", unknown))
    _refuse(named)
    assert request is not None
    return request


def _refuse(found: Iterable[Fault]) -> None:
    named = list(found)
    if len(named) > _MAX_NAMED:
        named[_MAX_NAMED:] = [Fault("body", f"and {len(named) - _MAX_NAMED} faults more")]
    if named:
        raise invalid(named)


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> Fault:
    field = ""
    for part in location:
        if isinstance(part, int):
            field += f"[{part}]"
        elif part not in ("", "[key]"):  # a name that is empty, and pydantic's mark for "the name itself"
            field += f".{part[:100]}" if field else part[:100]
    return Fault(field or "body", _WORDS.get(kind, message))


#: Where pydantic's words speak of Python, or of nothing a caller knows.
_WORDS = {
    "extra_forbidden": "is not a field of this request",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a JSON array",
    "missing": "is required",
}
