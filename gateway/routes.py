"""Every path of the API, once: the router, the OpenAPI document and the docs page are made from this table."""

from __future__ import annotations

from gateway import batch, documents, examples, pools, runs, sandboxes
from gateway.endpoint import Endpoint
from gateway.schema import (
    BatchLine,
    BatchRequest,
    ExecRequest,
    HealthAnswer,
    PoolsAnswer,
    ReadyAnswer,
    RunAnswer,
    RunRequest,
    SandboxAnswer,
    SandboxesAnswer,
    SandboxRequest,
)

_BODY = ("invalid_json", "invalid_request", "body_too_large", "unsupported_media_type", "too_many_bodies")
_LEASE = ("unknown_language", "too_many_waiting", "sandbox_lost", "pool_timeout", "pool_unavailable", "draining")
_KEY = ("idempotency_key_reused", "idempotency_key_unanswered")
_SANDBOX = ("not_found", "sandbox_gone")

#: The busiest first: the router asks them in this order.
ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/run",
        handler=runs.run,
        name="run",
        summary="One fresh sandbox, one run, gone. 200 whatever the code did; a client that goes away ends its run.",
        answer=RunAnswer,
        answer_example=examples.RUN_ANSWER,
        headers=("Server-Timing",),
        request=RunRequest,
        request_example=examples.RUN_REQUEST,
        takes_headers=("Idempotency-Key",),
        problems=(*_BODY, *_LEASE, *_KEY),
    ),
    Endpoint(
        method="POST",
        path="/v1/batch",
        handler=batch.batch,
        name="batch",
        summary="Up to 1,000 runs, each in a fresh sandbox, within a share of the pool and behind everybody else. A "
        "line of JSON for each as soon as it is over, a `keepalive` at least every 10 s, and an `end` with the counts. "
        "A client that goes away ends its runs; one that reads slowly slows them down.",
        answer=BatchLine,
        answer_example=examples.BATCH_LINE,
        media_type=batch.MEDIA_TYPE,
        request=BatchRequest,
        request_example=examples.BATCH_REQUEST,
        problems=(*_BODY, "draining"),
    ),
    Endpoint(
        method="POST",
        path="/v1/sandboxes/{id}/exec",
        handler=sandboxes.execute,
        name="exec",
        summary="Run exactly one of code, command and argv in the sandbox. Files stay for the next exec; "
        "interpreter state does not. A failed run does not end the sandbox.",
        answer=RunAnswer,
        answer_example=examples.EXEC_ANSWER,
        headers=("Server-Timing",),
        request=ExecRequest,
        request_example=examples.EXEC_REQUEST,
        problems=(*_BODY, *_SANDBOX, "sandbox_busy", "sandbox_lost", "draining"),
    ),
    Endpoint(
        method="POST",
        path="/v1/sandboxes",
        handler=sandboxes.create,
        name="create_sandbox",
        summary="A session over one sandbox, for `timeout_s` seconds.",
        status=201,
        answer=SandboxAnswer,
        answer_example=examples.SANDBOX_ANSWER,
        headers=("Location",),
        request=SandboxRequest,
        request_example=examples.SANDBOX_REQUEST,
        takes_headers=("Idempotency-Key",),
        problems=(*_BODY, *(code for code in _LEASE if code != "sandbox_lost"), *_KEY),
    ),
    Endpoint(
        method="GET",
        path="/v1/sandboxes",
        handler=sandboxes.list_all,
        name="list_sandboxes",
        summary="The sandboxes there are, oldest first.",
        answer=SandboxesAnswer,
        answer_example=examples.SANDBOXES_ANSWER,
    ),
    Endpoint(
        method="GET",
        path="/v1/sandboxes/{id}",
        handler=sandboxes.show,
        name="show_sandbox",
        summary="One sandbox. Asking does not make it live longer.",
        answer=SandboxAnswer,
        answer_example=examples.SANDBOX_ANSWER,
        problems=_SANDBOX,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sandboxes/{id}",
        handler=sandboxes.delete,
        name="delete_sandbox",
        summary="End the sandbox and what runs in it. Repeating it is harmless.",
        status=204,
        problems=("not_found",),
    ),
    Endpoint(
        method="GET",
        path="/v1/pools",
        handler=pools.pools,
        name="pools",
        summary="What is ready, booting, leased and waiting, for each template.",
        answer=PoolsAnswer,
        answer_example=examples.POOLS_ANSWER,
        problems=("pool_unavailable",),
    ),
    Endpoint(
        method="GET",
        path="/healthz",
        handler=pools.healthz,
        name="healthz",
        summary="200 while the process serves.",
        answer=HealthAnswer,
        answer_example={"status": "ok"},
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        handler=pools.readyz,
        name="readyz",
        summary="200 when every pool can lease; else 503 with what is missing, by template, in `templates`.",
        answer=ReadyAnswer,
        answer_example={"status": "ready"},
        problems=("pool_unavailable", "draining"),
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handler=pools.metrics,
        name="metrics",
        summary="Prometheus text. While the pool is away its metrics are absent.",
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        handler=documents.openapi,
        name="openapi",
        summary="This API as an OpenAPI 3.1 document.",
    ),
    Endpoint(
        method="GET",
        path="/docs",
        handler=documents.docs,
        name="docs",
        summary="This API as a page to read.",
        media_type="text/html",
    ),
)
