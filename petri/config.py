"""Read petri.toml and the `PETRI_*` variables once, and report every fault in them at once.

Pool and gateway read nothing of the environment themselves: what is found here is passed down as frozen settings.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.settings import LOOPBACK_ONLY, GatewaySettings
from petri import config_faults
from pool.settings import PoolSettings
from pool.template import Template
from pool.uid_block import BLOCK

_M = TypeVar("_M", bound=BaseModel)

#: Looked for in this order when neither `--config` nor PETRI_CONFIG names a file.
_USUAL_PLACES = (Path("petri.toml"), Path("/etc/petri/petri.toml"))

#: What Petri runs without a configuration file, and what petri.toml in the repository says. A file's [templates.python]
#: begins with these values, too, and names only what it changes.
DEFAULT_TEMPLATES: dict[str, dict[str, Any]] = {
    "python": {"language": "python", "image": "petri/python", "target": 8, "max_target": 24},
    "node": {"language": "node", "image": "petri/node", "target": 4, "max_target": 12},
    "go": {
        "language": "go",
        "image": "petri/go",
        "target": 2,
        "max_target": 6,
        "memory_mib": 1024,
        "tmp_mib": 512,
        "pids": 128,
        "timeout_s": 30.0,
    },
}


#: Statistics of all of them travel from pool to gateway in one packet.
MAX_TEMPLATES = 64


class ConfigFault(Exception):
    """The configuration is wrong; `faults` has a line for everything that is."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured. `source` is the file it came from, None for the defaults."""

    source: Path | None
    state_dir: Path  # outlives a reboot: engine, images under construction, logs
    run_dir: Path  # does not: sockets, locks
    pool: PoolSettings
    gateway: GatewaySettings
    templates: tuple[Template, ...]

    @property
    def pool_lock(self) -> Path:
        return self.run_dir / f"pool-{self.pool.name}.lock"

    @property
    def up_lock(self) -> Path:
        return self.run_dir / f"up-{self.pool.name}.lock"

    @property
    def gateway_lock(self) -> Path:
        """Of the gateway that `petri up` started; one that runs by itself has none."""
        return self.run_dir / f"gateway-{self.pool.name}.lock"

    @property
    def gateway_url(self) -> str:
        """Where the gateway of this configuration listens; petri/address.py knows where one runs."""
        host = self.gateway.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.gateway.port}"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in force; raises `ConfigFault`."""
    faults: list[str] = []
    source = _find(path, environ)
    tables = _read(source, faults)
    state_dir, run_dir = _directories(environ)
    pool = dict(tables.pop("pool", {}))
    gateway = dict(tables.pop("gateway", {}))
    templates = {
        name: {**DEFAULT_TEMPLATES.get(name, {}), **table}
        for name, table in tables.pop("templates", DEFAULT_TEMPLATES).items()
    }
    faults += [f"{name}: no such table; there are pool, gateway and templates" for name in tables]
    _override(pool, gateway, templates, environ, faults)
    pool_settings = _validated(PoolSettings, "pool", pool, faults)
    name = pool_settings.name if pool_settings else "default"
    gateway.setdefault("pool_socket", run_dir / f"pool-{name}.sock")
    gateway_settings = _validated(GatewaySettings, "gateway", gateway, faults)
    if gateway_settings and not _may_be_listened_on(gateway_settings.host):
        faults.append(f"gateway.host = {gateway_settings.host!r}: {LOOPBACK_ONLY}")
    valid = []
    for name, table in templates.items():
        if (other := table.pop("name", name)) != name:
            faults.append(f"templates.{name}.name = {other!r}: no such setting; [templates.{name}] is the name")
        valid.append(_validated(Template, f"templates.{name}", {"name": name, **table}, faults))
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        faults.append(f"templates: there are {len(templates)}; there must be at least one and at most {MAX_TEMPLATES}")
    if (most := sum(template.max_sandboxes for template in valid if template)) > BLOCK:
        faults.append(f"templates: max_sandboxes are {most} together; a pool has user ids for {BLOCK}")
    if faults or pool_settings is None or gateway_settings is None:
        raise ConfigFault(faults)
    return Config(
        source, state_dir, run_dir, pool_settings, gateway_settings, tuple(one for one in valid if one is not None)
    )


def reference() -> Iterator[tuple[str, str, str, str]]:
    """(key, variable, default, description) of everything that can be configured, for the README and `petri config`."""
    models: tuple[tuple[str, str, type[BaseModel]], ...] = (
        ("gateway", "PETRI_GATEWAY_", GatewaySettings),
        ("pool", "PETRI_POOL_", PoolSettings),
        ("templates.NAME", "PETRI_TEMPLATE_NAME_", Template),
    )
    for table, prefix, model in models:
        for name, field in model.model_fields.items():
            if model is Template and name == "name":
                continue
            default = (
                "required" if field.is_required() else f"`{field.default}`" if field.default not in ("", ()) else "–"
            )
            if name == "pool_socket":
                default = "in the run directory"
            yield f"{table}.{name}", prefix + name.upper(), default, field.description or ""


def _may_be_listened_on(host: str) -> bool:
    """False for an address other machines could reach. What a name means is looked up when the gateway starts."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return True


def in_force(config: Config) -> Iterator[tuple[str, Any, str, str]]:
    """(key, value, variable, description) of every setting of one configuration."""
    tables: list[tuple[str, str, BaseModel]] = [
        ("gateway", "PETRI_GATEWAY_", config.gateway),
        ("pool", "PETRI_POOL_", config.pool),
    ]
    tables += [
        (f"templates.{one.name}", f"PETRI_TEMPLATE_{config_faults.in_variables(one.name)}_", one)
        for one in config.templates
    ]
    for table, prefix, settings in tables:
        fields = type(settings).model_fields
        for name, value in settings.model_dump(mode="json").items():
            if (type(settings), name) != (Template, "name"):  # the table's own
                yield f"{table}.{name}", value, prefix + name.upper(), fields[name].description or ""


def _find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or (Path(environ["PETRI_CONFIG"]) if environ.get("PETRI_CONFIG") else None)
    if named is not None:
        return named
    return next((place for place in _USUAL_PLACES if place.is_file()), None)


def _read(source: Path | None, faults: list[str]) -> dict[str, Any]:
    if source is None:
        return {}
    try:
        tables = tomllib.loads(source.read_text())
    except OSError as error:
        raise ConfigFault([f"{source}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigFault([f"{source}: not TOML: {error}"]) from error
    for name in ("pool", "gateway", "templates"):
        if name in tables and not isinstance(tables[name], dict):
            faults.append(f"{name} = {tables.pop(name)!r}: must be a table, [{name}]")
    for name, table in list(tables.get("templates", {}).items()):
        if not isinstance(table, dict):
            faults.append(f"templates.{name} = {table!r}: must be a table, [templates.{name}]")
            del tables["templates"][name]
    return tables


def _directories(environ: Mapping[str, str]) -> tuple[Path, Path]:
    """State and run directory. scripts/lib has the same rule."""
    if os.geteuid() == 0:
        state, run = Path("/var/lib/petri"), Path("/run/petri")
    else:
        state = Path(environ.get("HOME", "/nonexistent")) / ".local/state/petri"
        run = Path(environ.get("XDG_RUNTIME_DIR") or state / "run") / "petri"
    return Path(environ.get("PETRI_STATE_DIR") or state), Path(environ.get("PETRI_RUN_DIR") or run)


def _override(
    pool: dict[str, Any],
    gateway: dict[str, Any],
    templates: dict[str, dict[str, Any]],
    environ: Mapping[str, str],
    faults: list[str],
) -> None:
    known: dict[str, tuple[dict[str, Any], type[BaseModel], str]] = {}
    prefixes: list[tuple[str, dict[str, Any], type[BaseModel]]] = [
        ("PETRI_POOL_", pool, PoolSettings),
        ("PETRI_GATEWAY_", gateway, GatewaySettings),
    ]
    prefixes += [
        (f"PETRI_TEMPLATE_{config_faults.in_variables(name)}_", table, Template) for name, table in templates.items()
    ]
    for prefix, table, model in prefixes:
        for name in model.model_fields:
            if (model, name) != (Template, "name"):
                known[prefix + name.upper()] = (table, model, name)
    for variable, text in environ.items():
        if variable in known:
            table, model, name = known[variable]
            table[name] = _typed(model, name, text)
        elif variable.startswith(("PETRI_POOL_", "PETRI_GATEWAY_", "PETRI_TEMPLATE_")):
            faults.append(config_faults.unknown_variable(variable, known, templates))


def _typed(model: type[BaseModel], name: str, text: str) -> Any:
    """A variable's text as the value that TOML would give, except where text is wanted anyway."""
    if model.model_fields[name].annotation in (str, Path):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # not what the field wants, and reported as it stands


def _validated(model: type[_M], where: str, table: dict[str, Any], faults: list[str]) -> _M | None:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults += [config_faults.sentence(model, where, one) for one in found]
        wrong = {one["loc"][0] for one in found if one["loc"]}
        if wrong and issubclass(model, Template | GatewaySettings):
            # With a field wrong the model does not look at how the others agree; everything is reported at once.
            given = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
            given |= {name: value for name, value in table.items() if name in model.model_fields}
            rest = {name: value for name, value in given.items() if name not in wrong}
            faults += [f"{where}: {fault}" for fault in model.disagreements(rest)]
        return None
