"""Render the API as one HTML page: no script, nothing from elsewhere, from the same table as the router.

Made once, but for the server's address in its examples.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import cast

from pydantic import BaseModel

from gateway.endpoint import ANY_PROBLEMS, Endpoint
from gateway.problems import KINDS

Schema = Mapping[str, object]

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d5d9de, #3a4048); --soft: light-dark(#f4f6f8, #1d2126);
  --link: light-dark(#0b57b0, #8ab8ff); }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; font: 1rem/1.55 system-ui, sans-serif;
  background: light-dark(#fff, #14171a); color: light-dark(#16191d, #e4e7ea); }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip:not(:focus) { position: absolute; left: -100rem; }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
h3 { margin: 1.5rem 0 .4rem; font-size: 1rem; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre, .wide { overflow-x: auto; background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; }
pre { padding: .8rem 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
tr:target, section:target h2 { background: light-dark(#fff3c4, #4a3d10); }
nav ul { columns: 18rem; padding-left: 1.2rem; }
"""


#: Where the server's address goes, which only a request tells; no text of the page has this character.
_ADDRESS = "\0"


@dataclass(frozen=True, slots=True)
class Page:
    """`policy` is the Content-Security-Policy that lets this page's own style in, and nothing else."""

    before: str
    after: str
    policy: str

    def html(self, url: str) -> bytes:
        """The page, with `url` as the server's address in its examples."""
        return f"{self.before}{escape(url)}{self.after}".encode()


def render(endpoints: Iterable[Endpoint], version: str) -> Page:
    sections = "".join(map(_section, endpoints))
    contents = "".join(f'<li><a href="#{one.name}"><code>{_call(one)}</code></a></li>' for one in endpoints)
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Petri: the HTTP API</title>
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>Petri: the HTTP API</h1>
<p>Version {escape(version)}. JSON in UTF-8 both ways, described for machines at
<a href="/openapi.json">/openapi.json</a>. What the code does is an answer with status 200; everything else is an
<a href="#errors">error</a>. The examples expect the server's address in a variable:</p>
<pre tabindex="0"><code>PETRI={_ADDRESS}</code></pre>
</header>
<nav aria-label="Contents"><ul>{contents}<li><a href="#errors">Errors</a></li></ul></nav>
<main id="content">
{sections}
{_errors()}
</main>
</body>
</html>
"""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    before, _, after = html.partition(_ADDRESS)
    return Page(before, after, policy)


def _call(endpoint: Endpoint) -> str:
    return escape(f"{endpoint.method} {endpoint.path}")


def _section(endpoint: Endpoint) -> str:
    parts = [
        f'<section id="{endpoint.name}" aria-labelledby="{endpoint.name}-title">',
        f'<h2 id="{endpoint.name}-title"><code>{_call(endpoint)}</code></h2>',
        f"<p>{_prose(endpoint.summary)}</p>",
        _code(_curl(endpoint)),
    ]
    if endpoint.request is not None:
        takes = "".join(f", header <code>{name}</code> if you like" for name in endpoint.takes_headers)
        parts += [f"<h3>Request{takes}</h3>", _fields(endpoint.request, received=True)]
    headers = "".join(f", header <code>{name}</code>" for name in endpoint.headers)
    parts.append(f"<h3>Answer: {endpoint.status}{headers}</h3>")
    if endpoint.answer is not None:
        parts.append(_fields(endpoint.answer, received=False))
    if endpoint.answer_example is not None:
        parts.append(_code(json.dumps(endpoint.answer_example, indent=2, ensure_ascii=False)))
    if endpoint.problems:
        parts.append(f"<h3>Errors</h3><p>{_links(endpoint.problems)}</p>")
    parts.append("</section>")
    return "\n".join(parts)


def _links(codes: Iterable[str]) -> str:
    return ", ".join(f'<a href="#{code}"><code>{code}</code></a>' for code in codes)


def _curl(endpoint: Endpoint) -> str:
    method = "" if endpoint.method == "GET" or endpoint.request is not None else f" -X {endpoint.method}"
    body = ""
    if endpoint.request_example is not None:
        text = json.dumps(endpoint.request_example, indent=2, ensure_ascii=False).replace("'", "'\\''")
        body = f" \\\n  --json '{text}'"
    return f"curl{method} $PETRI{endpoint.path.replace('{id}', '$ID')}{body}"


def _prose(text: str) -> str:
    """A sentence in which `names` are marked as in Markdown."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    # Reachable by keyboard, because it may have to be scrolled.
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _fields(model: type[BaseModel], *, received: bool) -> str:
    schema = model.model_json_schema(mode="validation" if received else "serialization")
    definitions = cast(Mapping[str, Schema], schema.get("$defs", {}))
    required = cast("list[str]", schema.get("required", []))
    rows = []
    properties = cast(Mapping[str, Schema], schema["properties"])
    for name, field in sorted(properties.items(), key=lambda pair: received and pair[0] not in required):
        note = "required" if name in required else _default(field)
        about = _prose(str(field.get("description", "")))
        rows.append(
            f"<tr><td><code>{name}</code></td><td>{escape(_type(field, definitions))}</td>"
            + (f"<td>{note}</td>" if received else "")
            + f"<td>{about}</td></tr>"
        )
    default = "<th>Default</th>" if received else ""
    head = f"<tr><th>Field</th><th>Type</th>{default}<th>Meaning</th></tr>"
    return f'<div class="wide" tabindex="0"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _default(field: Schema) -> str:
    default = field.get("default")
    return "" if default is None else f"<code>{escape(json.dumps(default))}</code>"


def _type(field: Schema, definitions: Mapping[str, Schema]) -> str:
    """In a word or two, with what objects in lists are made of."""
    if "$ref" in field:
        inner = definitions[str(field["$ref"]).rpartition("/")[2]]
        members = cast(Mapping[str, Schema], inner["properties"])
        return "{" + ", ".join(f"{name}: {_type(member, definitions)}" for name, member in members.items()) + "}"
    if "anyOf" in field:
        return " or ".join(_type(one, definitions) for one in cast("list[Schema]", field["anyOf"]))
    if "enum" in field or "const" in field:
        return " or ".join(json.dumps(one) for one in cast("list[str]", field.get("enum", [field.get("const")])))
    if field.get("type") == "array":
        return f"list of {_type(cast(Schema, field['items']), definitions)}"
    if field.get("type") == "object":
        return f"object of {_type(cast(Schema, field.get('additionalProperties', {'type': 'any'})), definitions)}"
    return str(field.get("type", "any"))


def _errors() -> str:
    rows = "".join(
        f'<tr id="{code}"><td>{kind.status}</td><td><code>{code}</code></td><td>{_prose(kind.meaning)}'
        + (" Carries <code>Retry-After</code>." if kind.waits else "")
        + "</td></tr>"
        for code, kind in KINDS.items()
    )
    head = "<tr><th>Status</th><th>Code</th><th>Meaning</th></tr>"
    return f"""<section id="errors" aria-labelledby="errors-title">
<h2 id="errors-title">Errors</h2>
<p>An error is <code>application/problem+json</code> (RFC 9457): <code>type</code>, <code>title</code>,
<code>status</code>, <code>detail</code>, <code>code</code>, and <code>retryable</code>: whether the same request may
be sent again. Besides those that a call names, any may answer {_links(ANY_PROBLEMS)}.</p>
<div class="wide" tabindex="0"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>
</section>"""
