"""A web page in somebody's browser cannot run code here, nor read under a name that was made to mean this server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gateway.cross_origin import CrossOriginProtection
from gateway.settings import GatewaySettings
from tests.gateway.served import Served, serving

RUN = {"language": "python", "code": "print 1"}

#: What browsers send with a POST, from pages elsewhere, on another port of this machine, in a frame without origin.
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
]


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 403:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "forbidden"
    assert "gateway.allowed_" in answer.json()["detail"]
    return True


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_origins_page_changes_nothing(served: Served, headers: dict[str, str]) -> None:
    sandbox = await served.sandbox()
    leases = served.leases_asked_for()
    answers = [
        await served.http.post("/v1/run", json=RUN, headers=headers),
        await served.http.post("/v1/sandboxes", json={"language": "python"}, headers=headers),
        await served.http.post(f"/v1/sandboxes/{sandbox}/exec", json={"code": "print 1"}, headers=headers),
        await served.http.delete(f"/v1/sandboxes/{sandbox}", headers=headers),
        await served.http.put("/v1/run", headers=headers),
    ]
    assert all(map(refused, answers))
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)
    assert served.leases_asked_for() == leases
    assert (await served.http.get(f"/v1/sandboxes/{sandbox}")).status_code == 200


async def test_a_blind_post_without_a_type_is_refused_by_its_origin(served: Served) -> None:
    """A page can send bytes without a Content-Type, as tools do that may; its browser adds where it comes from."""
    body = b'{"language": "python", "code": "print 1"}'
    assert (await served.http.post("/v1/run", content=body)).status_code == 200
    assert refused(await served.http.post("/v1/run", content=body, headers={"Origin": "https://evil.example"}))


async def test_what_a_page_sends_is_refused_before_its_body_is_read(served: Served) -> None:
    answer = await served.http.post("/v1/run", content=b"x" * (9 << 20), headers={"Origin": "https://evil.example"})
    assert refused(answer)


async def test_our_own_pages_tools_and_what_the_user_typed_are_let_in(served: Served) -> None:
    own: list[dict[str, str]] = [
        {},
        {"Origin": f"http://127.0.0.1:{served.port}"},
        {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "LOCALHOST:1", "Origin": "http://localhost:1"},
    ]
    for headers in own:
        assert (await served.http.post("/v1/run", json=RUN, headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN)
async def test_looking_changes_nothing_and_is_let_in_but_cannot_be_read(
    served: Served, headers: dict[str, str]
) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = await served.http.request(method, "/docs", headers=headers)
        assert answer.status_code in (200, 204)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not any(name.startswith("access-control") for name in answer.headers)


NAMES = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", "xlocalhost", "petri"]
NO_NAMES = ["localhost:x", "local host", "[::1", "::1", "a@localhost", "localhost/", "2130706433", "127.1", "é", "*"]
OURS = ["localhost", "LocalHost:1234", "localhost.", "127.0.0.1", "127.0.0.1:8000", "127.8.8.8", "[::1]", "[::1]:8000"]
ADDRESSES = ["192.0.2.7", "0.0.0.0:8000", "[2001:db8::1]:80"]


@pytest.mark.parametrize("host", [*NAMES, *NO_NAMES])
async def test_a_name_that_is_not_ours_is_refused_whatever_the_method(served: Served, host: str) -> None:
    """The page of a rebound name is of the same origin, as far as its browser can tell."""
    headers = {"Host": host.encode("latin-1"), "Sec-Fetch-Site": b"same-origin"}
    for method, path in (("GET", "/v1/sandboxes"), ("GET", "/docs"), ("POST", "/v1/run"), ("OPTIONS", "/v1/run")):
        assert refused(await served.http.request(method, path, headers=headers))
    assert served.leases_asked_for() == 0


@pytest.mark.parametrize("host", [*OURS, *ADDRESSES])
async def test_our_names_and_every_address_are_ours(served: Served, host: str) -> None:
    assert (await served.http.post("/v1/run", json=RUN, headers={"Host": host})).status_code == 200


async def test_names_and_origins_can_be_added(tmp_path: Path) -> None:
    settings = GatewaySettings(allowed_hosts=("Petri.Internal",), allowed_origins=("https://Console.Example:8443",))
    async with serving(tmp_path, settings=settings) as served:

        async def status(**headers: str) -> int:
            return (await served.http.post("/v1/run", json=RUN, headers=headers)).status_code

        assert await status(Host="petri.internal:8000") == 200
        assert await status(Host="petri.internal.") == 200
        assert await status(Host="localhost") == 200
        assert await status(Host="x.petri.internal") == 403
        allowed = {"Origin": "https://console.example:8443", "Sec-Fetch-Site": "cross-site"}
        assert await status(**allowed) == 200
        assert await status(Origin="https://console.example") == 403
        assert await status(Origin="http://console.example:8443") == 403
        assert await status(**allowed, Host="evil.example") == 403


@pytest.mark.parametrize(
    ("host", "allowed", "checked"),
    [
        ("127.0.0.1", (), True),
        ("::1", (), True),
        ("localhost", (), True),
        ("0.0.0.0", (), False),
        ("petri.internal", (), False),
        ("petri.internal", ("petri.internal",), True),
    ],
)
def test_where_keys_must_be_shown_names_are_checked_only_if_any_are_configured(
    host: str, allowed: tuple[str, ...], checked: bool
) -> None:
    settings = GatewaySettings(host=host, allowed_hosts=allowed)
    protection = CrossOriginProtection(lambda *_: None, settings)  # type: ignore[arg-type, return-value]
    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"evil.example")]}
    assert (protection._refusal(scope) is not None) == checked
