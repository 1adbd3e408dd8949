"""Ask a running gateway, for the command line."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

#: Longer than the longest run a template allows by default (300 s) and its wait for a sandbox.
_READ_TIMEOUT_S = 330.0


class GatewayFault(Exception):
    """The gateway is not there, or answered with a problem; the message is for a person."""


class Client:
    """HTTP calls to one gateway."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        timeout = httpx.Timeout(5.0, read=_READ_TIMEOUT_S)
        self._http = httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, *, within_s: float = _READ_TIMEOUT_S) -> dict[str, Any]:
        """The JSON object at `path`."""
        found: dict[str, Any] = self._answer("GET", path, within_s=within_s).json()
        return found

    def text(self, path: str, *, within_s: float = _READ_TIMEOUT_S) -> str:
        """What is at `path`, as it is."""
        return self._answer("GET", path, within_s=within_s).text

    def run(self, request: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """`POST /v1/run`: the run object, and the answer's Server-Timing."""
        answer = self._answer("POST", "/v1/run", request)
        return answer.json(), answer.headers.get("Server-Timing", "")

    def trouble(self) -> str | None:
        """What `/readyz` says is missing; None when every pool can lease."""
        try:
            answer = self._http.get("/readyz", timeout=2.0)
        except httpx.HTTPError as error:
            return f"no answer yet ({type(error).__name__})"
        return None if answer.status_code == 200 else _problem(answer)

    def _answer(
        self, method: str, path: str, request: dict[str, Any] | None = None, *, within_s: float = _READ_TIMEOUT_S
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=request, timeout=httpx.Timeout(5.0, read=within_s))
        except httpx.ConnectError as error:
            raise GatewayFault(f"no gateway answers at {self.url}; `petri up` starts one") from error
        except httpx.HTTPError as error:
            raise GatewayFault(f"{self.url}{path}: {error or type(error).__name__}") from error
        if answer.status_code >= 400:
            raise GatewayFault(_problem(answer))
        return answer


def _problem(answer: httpx.Response) -> str:
    """A problem+json body in a line or more."""
    try:
        problem = answer.json()
        faults = problem.get("errors", [])
        # With them, the detail is the same in one line.
        lines = [f"{problem['code']}: {problem['title'] if faults else problem['detail']}"]
        lines += [f"  {fault['field']}: {fault['message']}" for fault in faults]
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}: {answer.text[:200]}"
    return "\n".join(lines)
