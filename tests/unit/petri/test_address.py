"""Which gateway a command asks: the one named, else the one that runs, else the one configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from petri import address, up
from petri.client import GatewayFault
from petri.config import Config, load
from petri.down import down
from pool import process_lock


def config(tmp_path: Path, name: str = "blue") -> Config:
    path = tmp_path / "petri.toml"
    path.write_text(f'[pool]\nname = "{name}"\n')
    return load(path, {"PETRI_RUN_DIR": str(tmp_path)})


RUNNING = "http://127.0.0.1:8123"


def test_named_then_running_then_configured(tmp_path):
    blue, green = config(tmp_path), config(tmp_path, "green")

    def asked(url: str | None = None, of: Config = blue, **environ: str) -> str:
        return address.of_gateway(url, lambda: of, environ)

    assert asked() == "http://127.0.0.1:8000"
    with process_lock.held(blue.up_lock, RUNNING):
        assert asked() == RUNNING
        assert asked(of=green) == "http://127.0.0.1:8000"
        assert asked(PETRI_URL="http://a") == "http://a"
        assert asked("https://b", PETRI_URL="http://a") == "https://b"
    assert asked() == "http://127.0.0.1:8000"  # whoever was killed left the line, but not the lock


def test_the_configuration_is_not_read_for_a_gateway_that_is_named():
    def broken() -> Config:
        raise AssertionError

    assert address.of_gateway("http://a", broken, {}) == "http://a"


def test_a_url_without_a_scheme_is_told_what_it_lacks(tmp_path):
    for given, environ in (("localhost:8123", {}), (None, {"PETRI_URL": "localhost:8123"})):
        with pytest.raises(GatewayFault, match="localhost:8123: must begin with http://"):
            address.of_gateway(given, lambda: config(tmp_path), environ)


def test_is_running_already_says_where(tmp_path):
    blue = config(tmp_path)
    with (
        process_lock.held(blue.up_lock, RUNNING),
        pytest.raises(up.UpFault, match=rf"up-blue is running already \(pid \d+, {RUNNING}\); `petri down` ends it"),
    ):
        up.run(blue, [], show_samples=False, once=False)


def test_down_names_the_pool_that_is_not_up_and_those_that_are(tmp_path, capsys):
    with process_lock.held(config(tmp_path, "green").up_lock, RUNNING):
        assert down(config(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "Petri is not up under the pool name blue." in said
    assert f"Up are: green ({RUNNING}); PETRI_POOL_NAME chooses." in said
