"""The OpenAPI document and the docs page: valid, complete, and true of the server that publishes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.routing import Route

from gateway.app import create_app
from gateway.docs_page import render
from gateway.problems import KINDS
from gateway.routes import ENDPOINTS
from gateway.settings import GatewaySettings
from tests.gateway.served import Served


@pytest.fixture
async def document(served: Served) -> dict[str, Any]:
    answer = await served.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def check(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    OAS31Validator({**schema, "components": document["components"]}).validate(value)


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document, cls=OpenAPIV31SpecValidator)


async def test_the_document_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    app = create_app(GatewaySettings(), [])
    of_the_api = [route for route in app.routes if isinstance(route, Route) and route.include_in_schema]
    routed = {(route.path, method) for route in of_the_api for method in (route.methods or set()) - {"HEAD"}}
    assert {(path, method) for path, method, _ in operations(document)} == routed


async def test_every_error_of_the_table_is_in_the_document_under_its_status(document: dict[str, Any]) -> None:
    said: set[str] = set()
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json")
            if content is None:
                continue
            for code, example in content["examples"].items():
                assert KINDS[code].status == int(status) == example["value"]["status"]
                check(document, content["schema"], example["value"])
                assert ("Retry-After" in response["headers"]) or not KINDS[code].waits
                said.add(code)
    assert said == set(KINDS) - {"method_not_allowed"}  # no operation has that one: it is for methods there are not


async def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
        contents += [response.get("content", {}) for response in operation["responses"].values()]
        for content in contents:
            for media in content.values():
                for example in media.get("examples", {}).values():
                    check(document, media["schema"], example["value"])


async def test_every_documented_request_is_answered_as_documented(served: Served, document: dict[str, Any]) -> None:
    await served.until(lambda: served.pool("python").ready == served.pool("node").ready == 2)
    for path, method, operation in operations(document):
        sandbox = await served.sandbox()
        body = None
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
        answer = await served.http.request(method, path.format(id=sandbox, template="python"), json=body)
        success = next(status for status in operation["responses"] if status.startswith("2"))
        assert answer.status_code == int(success), (path, answer.text)
        response = operation["responses"][success]
        assert all(name in answer.headers for name in response["headers"]), path
        for media_type, media in response.get("content", {}).items():
            assert answer.headers["content-type"].startswith(media_type)
            if media_type == "application/json":
                check(document, media["schema"], answer.json())
        await served.http.delete(f"/v1/sandboxes/{sandbox}")


async def test_a_problem_that_is_answered_is_one_that_is_documented(served: Served, document: dict[str, Any]) -> None:
    answers: list[tuple[str, httpx.Response]] = [
        ("/v1/run", await served.run("")),
        ("/v1/run", await served.run("die")),
        ("/v1/run", await served.http.post("/v1/run", content=b"{")),
        ("/v1/run", await served.http.post("/v1/run", json={"language": "cobol", "code": "x"})),
        ("/v1/sandboxes/{id}/exec", await served.exec("sb_x", "print 1")),
    ]
    for path, answer in answers:
        responses = document["paths"][path]["post"]["responses"]
        media = responses[str(answer.status_code)]["content"]["application/problem+json"]
        assert answer.json()["code"] in media["examples"]
        check(document, media["schema"], answer.json())


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


async def test_the_page_needs_no_script_and_nothing_from_elsewhere(served: Served) -> None:
    answer = await served.http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form"}
    assert not page.all("style")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.all("src") == []
    assert all(href.startswith(("#", "/")) for href in page.all("href"))
    assert "url(" not in answer.text
    assert "@import" not in answer.text


async def test_the_pages_policy_lets_its_own_style_in_and_nothing_else(served: Served) -> None:
    answer = await served.http.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])


async def test_headers_that_callers_may_add_are_described(served: Served, document: dict[str, Any]) -> None:
    taking = [endpoint for endpoint in ENDPOINTS if endpoint.takes_headers]
    assert {endpoint.path for endpoint in taking} == {"/v1/run", "/v1/sandboxes"}
    page = (await served.http.get("/docs")).text
    for endpoint in taking:
        parameters = document["paths"][endpoint.path]["post"]["parameters"]
        assert [one["name"] for one in parameters if one["in"] == "header"] == ["Idempotency-Key"]
    assert page.count("header <code>Idempotency-Key</code> if you like") == 2


async def test_every_link_and_every_problem_type_leads_somewhere(served: Served) -> None:
    page = Page((await served.http.get("/docs")).text)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    for href in page.all("href"):
        if href.startswith("#"):
            assert href[1:] in ids
        else:
            assert (await served.http.get(href)).status_code == 200
    assert set(KINDS) <= set(ids)
    assert (await served.run("")).json()["type"] == "/docs#invalid_request"
    assert {endpoint.name for endpoint in ENDPOINTS} <= set(ids)


async def test_the_page_can_be_read_with_a_keyboard_and_by_a_screen_reader(served: Served) -> None:
    text = (await served.http.get("/docs")).text
    page = Page(text)
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags].count("main") == 1
    assert all(attributes.get("tabindex") == "0" for tag, attributes in page.tags if tag == "pre")
    assert "color-scheme: light dark" in text
    assert ":focus-visible" in text


async def test_the_examples_have_the_address_that_the_page_was_asked_for_at(served: Served) -> None:
    for host in (f"localhost:{served.port}", "127.0.0.1:8123", "[::1]:80"):
        text = (await served.http.get("/docs", headers={"Host": host})).text
        assert f"PETRI=http://{host}</code>" in text


@pytest.mark.parametrize("host", ["a<b>", 'a"b', "a&b", "a\0b"])
def test_an_address_is_text_on_the_page(host: str) -> None:
    """Where names are not checked, any Host gets through."""
    text = render(ENDPOINTS, "1").html(f"http://{host}").decode()
    code = text.partition("PETRI=")[2].partition("</code>")[0]
    assert "<" not in code
    assert unescape(code) == f"http://{host}"


async def test_whoever_types_the_servers_address_is_led_to_the_page(served: Served) -> None:
    answer = await served.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert "/docs" in (await served.http.get("/v2")).json()["detail"]
