"""petri.toml and the variables: every fault at once, each with its name, its value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from gateway.settings import GatewaySettings
from petri import config_faults
from petri.__main__ import main
from petri.config import DEFAULT_TEMPLATES, ConfigFault, in_force, load
from pool.settings import PoolSettings
from pool.template import Template

ROOT = Path(__file__).parents[3]


def loaded(tmp_path: Path, text: str, **environ: str):
    path = tmp_path / "petri.toml"
    path.write_text(text)
    return load(path, {"PETRI_RUN_DIR": str(tmp_path), **environ})


def faults(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigFault) as fault:
        loaded(tmp_path, text, **environ)
    return fault.value.faults


def test_the_repositorys_petri_toml_is_what_runs_without_one(tmp_path, monkeypatch):
    ours = load(ROOT / "petri.toml", {})
    monkeypatch.chdir(tmp_path)
    defaults = load(None, {"PETRI_CONFIG": ""}) if not Path("/etc/petri/petri.toml").exists() else ours
    assert (ours.pool, ours.gateway, ours.templates) == (defaults.pool, defaults.gateway, defaults.templates)
    assert {template.name for template in ours.templates} == set(DEFAULT_TEMPLATES)


def test_a_variable_overrides_the_file(tmp_path):
    config = loaded(
        tmp_path,
        '[gateway]\nport = 1234\n[templates.my-py]\nlanguage = "python"\nimage = "x"\n',
        PETRI_GATEWAY_PORT="9000",
        PETRI_POOL_NAME="123",
        PETRI_TEMPLATE_MY_PY_CPUS="0.5",
    )
    assert (config.gateway.port, config.pool.name, config.templates[0].cpus) == (9000, "123", 0.5)


def test_templates_in_the_file_are_all_there_are(tmp_path):
    config = loaded(tmp_path, '[templates.py]\nlanguage = "python"\nimage = "x"\n')
    assert [template.name for template in config.templates] == ["py"]


def test_a_shipped_templates_table_only_changes_what_it_names(tmp_path):
    config = loaded(tmp_path, "[templates.go]\ntarget = 3\n", PETRI_TEMPLATE_GO_PIDS="99")
    shipped = Template.model_validate({"name": "go", **DEFAULT_TEMPLATES["go"]})
    assert config.templates == (shipped.model_copy(update={"target": 3, "pids": 99}),)
    assert (DEFAULT_TEMPLATES["go"]["target"], DEFAULT_TEMPLATES["go"]["pids"]) == (2, 128)  # as they were


def test_a_template_may_name_its_runtime_in_the_file_and_in_a_variable(tmp_path):
    text = '[templates.go]\nruntime = "runsc"\n[templates.python]\nruntime = "io.containerd.runsc.v1"\n[templates.node]'
    runtimes = {one.name: one.runtime for one in loaded(tmp_path, text, PETRI_TEMPLATE_PYTHON_RUNTIME="").templates}
    assert runtimes == {"go": "runsc", "python": "", "node": ""}
    runtimes = {one.name: one.runtime for one in loaded(tmp_path, text, PETRI_TEMPLATE_NODE_RUNTIME="kata").templates}
    assert runtimes == {"go": "runsc", "python": "io.containerd.runsc.v1", "node": "kata"}


def test_the_socket_lies_in_the_run_directory_under_the_pools_name(tmp_path):
    config = loaded(tmp_path, '[pool]\nname = "blue"\n')
    assert config.gateway.pool_socket == tmp_path / "pool-blue.sock"


def test_every_fault_is_reported_at_once(tmp_path):
    found = faults(
        tmp_path,
        """
        [gateway]
        port = "80"
        hots = "127.0.0.1"
        [pool]
        name = "Not A Name"
        [templates.python]
        language = "python"
        image = "x"
        memory_mib = 1
        [templates.ruby]
        image = "x"
        language = "ruby"
        timeout_s = 400.0
        [tempaltes]
        """,
        PETRI_GATEWAY_BODY_LIMIT_MIB="lots",
        PETRI_POOL_NAMES="x",
    )
    text = "\n".join(found)
    assert "gateway.port = '80': must be a valid integer" in text
    assert "gateway.hots = '127.0.0.1': no such setting; did you mean host?" in text
    assert "gateway.body_limit_mib = 'lots': must be a valid integer" in text
    assert "pool.name = 'Not A Name': must be of the letters a to z, digits, - and _" in text
    assert "templates.python.memory_mib = 1: must be greater than or equal to 64" in text
    assert "templates.ruby.language = 'ruby': must be 'python', 'node' or 'go'" in text
    assert "templates.ruby: timeout_s 400 is above max_timeout_s 300" in text
    assert "tempaltes: no such table; there are pool, gateway and templates" in text
    assert "PETRI_POOL_NAMES: no such setting; did you mean PETRI_POOL_NAME?" in text
    assert len(found) == 9


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("timeout_s = 20.0\nmax_timeout_s = 10.0", "timeout_s 20 is above max_timeout_s 10"),
        ("target = 5\nmax_sandboxes = 4", "target 5 is above max_sandboxes 4"),
        ("tmp_mib = 200", "workdir_mib 64 + tmp_mib 200 + 16 of /dev/shm leave less than 64 of memory_mib 256"),
        ("timeout_s = nan", "must be a finite number"),
        ("timeout_s = -1", "must be greater than 0"),
        ("stream_limit_kib = 2048\noutput_limit_kib = 1024", "stream_limit_kib 2048 is above output_limit_kib 1024"),
    ],
)
def test_numbers_that_cannot_hold_together_are_named(tmp_path, settings, complaint):
    found = faults(tmp_path, f'[templates.python]\nlanguage = "python"\nimage = "x"\n{settings}\n')
    assert complaint in "\n".join(found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = = 3", "not TOML"),
        ("pool = 3", "pool = 3: must be a table"),
        ("[templates]\npython = 3", "templates.python = 3: must be a table"),
        ("[templates]", "templates: there are 0; there must be at least one and at most 64"),
    ],
)
def test_a_file_of_the_wrong_form_says_so(tmp_path, text, complaint):
    assert complaint in "\n".join(faults(tmp_path, text))


def test_a_pool_has_an_end_of_user_ids(tmp_path):
    text = "".join(
        f'[templates.t{number}]\nlanguage = "python"\nimage = "i"\nmax_sandboxes = 10000\n' for number in range(7)
    )
    assert faults(tmp_path, text) == ["templates: max_sandboxes are 70000 together; a pool has user ids for 65536"]


def test_a_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(ConfigFault, match="No such file"):
        load(tmp_path / "absent.toml", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[pool]\nfreezer = "ice"', "pool.freezer = 'ice': must be 'auto', 'cgroup' or 'docker'"),
        ('[gateway]\nallowed_hosts = "x"', 'gateway.allowed_hosts = \'x\': must be a list, such as ["one", "two"]'),
        ('[gateway]\nallowed_hosts = ["a:1"]', "gateway.allowed_hosts.0 = 'a:1': must be a host's name without a port"),
        ('[gateway]\nallowed_origins = ["a"]', "gateway.allowed_origins.0 = 'a': must be an origin, such as https://"),
        ('[gateway]\nhost = ""', "gateway.host = '': must have at least 1 character"),
        ('[templates."Big One"]\nlanguage = "go"\nimage = "x"', "templates.Big One: the name must be of the letters"),
        ('[templates.go]\nruntime = "run sc"', "templates.go.runtime = 'run sc': must be empty or a runtime's name"),
        ('[templates.go]\nname = "went"', "templates.go.name = 'went': no such setting; [templates.go] is the name"),
    ],
)
def test_what_is_allowed_is_said_in_words(tmp_path, text, said):
    (found,) = faults(tmp_path, text)
    assert found.startswith(said)


def patterns(schema: object, setting: str = "") -> set[str]:
    """The settings in whose JSON schema there is a pattern."""
    if isinstance(schema, dict):
        own = {setting} if "pattern" in schema else set()
        return own.union(*(patterns(part, setting) for part in schema.values()))
    return set().union(*(patterns(part, setting) for part in schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("model", [GatewaySettings, PoolSettings, Template])
def test_every_pattern_has_its_words(model: type[BaseModel]):
    properties = model.model_json_schema()["properties"]
    found = set().union(*(patterns(schema, setting) for setting, schema in properties.items()))
    assert found == {setting for of, setting in config_faults.FORMS if of is model}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_is_refused_as_the_gateway_would(tmp_path, host):
    (found,) = faults(tmp_path, "", PETRI_GATEWAY_HOST=host)
    assert found.startswith(f"gateway.host = {host!r}: without API keys the gateway listens on loopback only")
    for good in ("127.0.0.2", "::1", "localhost"):
        assert loaded(tmp_path, "", PETRI_GATEWAY_HOST=good).gateway.host == good


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("PETRI_TEMPLATE_RUBY_MAX_TARGET", "there is no template ruby; there are python, node, go"),
        ("PETRI_TEMPLATE_GO_TARGTE", "no such setting; did you mean PETRI_TEMPLATE_GO_TARGET?"),
        ("PETRI_TEMPLATE_GO_NAME", "no such setting"),
    ],
)
def test_a_variable_of_no_template_or_no_setting_is_told_apart(tmp_path, variable, said):
    (found,) = faults(tmp_path, "", **{variable: "3"})
    assert found.startswith(f"{variable}: {said}")


def test_every_variable_that_petri_config_shows_is_one(tmp_path):
    config = loaded(tmp_path, '[templates.my-go]\nlanguage = "go"\nimage = "x"\n')
    shown = {key: variable for key, _, variable, _ in in_force(config)}
    assert shown["templates.my-go.pids"] == "PETRI_TEMPLATE_MY_GO_PIDS"
    assert "templates.my-go.name" not in shown
    values = {variable: "9" for key, variable in shown.items() if key.endswith((".port", ".pids", ".drain_s"))}
    again = {key: value for key, value, _, _ in in_force(loaded(tmp_path, config.source.read_text(), **values))}
    assert {key for key, value in again.items() if value == 9} == {
        "gateway.port", "gateway.drain_s", "pool.drain_s", "templates.my-go.pids",
    }  # fmt: skip


def test_petri_config_prints_key_value_variable_and_meaning(tmp_path):
    answer = CliRunner().invoke(main, ["config"], env={"PETRI_RUN_DIR": str(tmp_path), "PETRI_POOL_NAME": "blue"})
    assert answer.exit_code == 0
    row = next(line for line in answer.output.splitlines() if line.startswith("pool.name "))
    *cells, meaning = row.split(maxsplit=3)
    assert cells == ["pool.name", "blue", "PETRI_POOL_NAME"]
    assert meaning.startswith("pools on one host need own names")


@pytest.mark.parametrize(("variable", "highest"), [("TARGET", 30), ("MAX_SANDBOXES", 10)])
def test_a_shipped_template_can_have_one_number_changed_without_thinking_of_its_max_target(tmp_path, variable, highest):
    config = load(None, {"PETRI_CONFIG": "", f"PETRI_TEMPLATE_PYTHON_{variable}": str(highest)})
    assert next(one for one in config.templates if one.name == "python").highest_target == highest
