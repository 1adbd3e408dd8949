"""Say what is wrong with a setting, for a person: its name, its value, and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.settings import GatewaySettings
from pool.settings import PoolSettings
from pool.template import Template

#: What a pattern allows, in words. A setting with a pattern must be here: tests/unit/petri/test_config.py sees to it.
FORMS: dict[tuple[type[BaseModel], str], str] = {
    (PoolSettings, "name"): (
        "must be of the letters a to z, digits, - and _, begin with a letter or digit, and have at most 32 characters"
    ),
    (Template, "name"): (
        "the name must be of the letters a to z, digits, - and _, begin with a letter or digit, and have at most 63 "
        "characters"
    ),
    (Template, "runtime"): (
        "must be empty or a runtime's name, of letters, digits, ., _ and -, with at most 63 characters"
    ),
    (GatewaySettings, "allowed_hosts"): "must be a host's name without a port, such as petri.example.org",
    (GatewaySettings, "allowed_origins"): "must be an origin, such as https://example.org or http://localhost:3000",
}


def sentence(model: type[BaseModel], where: str, error: ErrorDetails) -> str:
    """One fault that validation found in the table `where`."""
    name = ".".join([where, *map(str, error["loc"])])
    if error["type"] == "missing":
        return f"{name}: is missing"
    if error["type"] == "extra_forbidden":
        return f"{name} = {error['input']!r}: no such setting{_near(str(error['loc'][-1]), model.model_fields)}"
    if error["type"] == "string_pattern_mismatch":
        wanted = FORMS[model, str(error["loc"][0])]
    elif error["type"] == "tuple_type":
        wanted = 'must be a list, such as ["one", "two"]'
    else:
        wanted = error["msg"].removeprefix("Value error, ")
        wanted = re.sub("^(Input|String|Value|Tuple) ", "", wanted).replace("should ", "must ", 1)
    if model is Template and error["loc"] == ("name",):
        return f"{where}: {wanted}"
    return f"{name}: {wanted}" if not error["loc"] else f"{name} = {error['input']!r}: {wanted}"


def in_variables(template: str) -> str:
    """A template's name as variables have it."""
    return template.upper().replace("-", "_")


def unknown_variable(variable: str, known: Collection[str], templates: Collection[str]) -> str:
    """A variable that begins as ours do and is none; `known`: those there are."""
    named = _template_named_by(variable)
    if named is not None and named not in map(in_variables, templates):
        return f"{variable}: there is no template {named.lower()}; there are {', '.join(templates)}"
    return f"{variable}: no such setting{_near(variable, known)}"


def _template_named_by(variable: str) -> str | None:
    """MY_PY of PETRI_TEMPLATE_MY_PY_MAX_TARGET; None where the end is no template's setting."""
    prefix = "PETRI_TEMPLATE_"
    if not variable.startswith(prefix):
        return None
    rest = variable.removeprefix(prefix)
    settings = [name for name in Template.model_fields if rest.endswith(f"_{name.upper()}")]
    longest = max(settings, key=len, default=None)
    return None if longest is None else rest[: -len(longest) - 1]


def _near(name: str, known: Collection[Any]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
