"""Describe the API as an OpenAPI 3.1 document, from the route table and the models."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from pydantic.json_schema import models_json_schema

from gateway.endpoint import Endpoint
from gateway.problems import KINDS, MEDIA_TYPE, Fault, Problem, invalid
from gateway.schema import ProblemAnswer

Json = dict[str, object]

_REF = "#/components/schemas/{model}"

_HEADERS: dict[str, Json] = {
    "X-Request-ID": {"description": "The caller's own, or one made here.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "`timings_ms` once more, with more stages between.", "schema": {"type": "string"}},
    "Location": {"description": "Path of the sandbox.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Whole seconds.", "schema": {"type": "integer", "minimum": 1}},
}

_REQUEST_HEADERS: dict[str, Json] = {
    "Idempotency-Key": {
        "description": "The same key and body from the same caller get the same answer, for ten minutes; it then has "
        "`Idempotency-Replayed: true`. Where nothing ran the key is free again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
}


def document(endpoints: Iterable[Endpoint], version: str) -> Json:
    """The whole document, as plain JSON values."""
    paths: defaultdict[str, Json] = defaultdict(dict)
    for endpoint in endpoints:
        paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Petri",
            "version": version,
            "summary": "Run code that nobody has read yet, each time in a container that was never used before.",
            "description": "JSON in UTF-8 both ways. What the code does is an answer with status 200; "
            "errors are `application/problem+json` (RFC 9457).",
        },
        "paths": dict(paths),
        "components": {"schemas": _schemas(endpoints)},
    }


def example_problem(code: str) -> Problem:
    """A problem of this code as it might be answered."""
    if code == "invalid_request":
        return invalid(
            [Fault("timeout_s", "must be at most 300 (seconds)"), Fault("cod", "is not a field of this request")]
        )
    members = {"reason": "expired"} if code == "sandbox_gone" else None
    return Problem(code, KINDS[code].meaning, members=members)


def _operation(endpoint: Endpoint) -> Json:
    operation: Json = {"operationId": endpoint.name, "summary": endpoint.summary}
    parameters = re.findall(r"{(\w+)}", endpoint.path)
    described: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
    ]
    described += [{"name": name, "in": "header", **_REQUEST_HEADERS[name]} for name in endpoint.takes_headers]
    if described:
        operation["parameters"] = described
    if endpoint.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(endpoint.request.__name__, endpoint.request_example)},
        }
    responses: dict[str, Json] = {str(endpoint.status): _success(endpoint)}
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in endpoint.all_problems:
        by_status[KINDS[code].status].append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _failure(codes)
    operation["responses"] = responses
    return operation


def _success(endpoint: Endpoint) -> Json:
    response: Json = {"description": endpoint.summary, "headers": _headers(*endpoint.headers)}
    if endpoint.answer is not None:
        response["content"] = {
            endpoint.media_type: _content(endpoint.answer.__name__, endpoint.answer_example),
        }
    elif endpoint.status != 204:
        kind = "object" if endpoint.media_type == "application/json" else "string"
        response["content"] = {endpoint.media_type: {"schema": {"type": kind}}}
    return response


def _failure(codes: list[str]) -> Json:
    waits = ["Retry-After"] if any(KINDS[code].waits for code in codes) else []
    return {
        "description": " · ".join(f"`{code}`: {KINDS[code].meaning}" for code in codes),
        "headers": _headers(*waits),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(model=ProblemAnswer.__name__)},
                "examples": {code: {"value": example_problem(code).body()} for code in codes},
            }
        },
    }


def _content(model: str, example: object) -> Json:
    content: Json = {"schema": {"$ref": _REF.format(model=model)}}
    if example is not None:
        content["examples"] = {"example": {"value": example}}
    return content


def _headers(*names: str) -> Json:
    return {name: _HEADERS[name] for name in ("X-Request-ID", *names)}


def _schemas(endpoints: Iterable[Endpoint]) -> object:
    received = {endpoint.request for endpoint in endpoints if endpoint.request is not None}
    sent = {endpoint.answer for endpoint in endpoints if endpoint.answer is not None} | {ProblemAnswer}
    by_name = sorted(received | sent, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation" if model in received else "serialization") for model in by_name], ref_template=_REF
    )
    return definitions["$defs"]
