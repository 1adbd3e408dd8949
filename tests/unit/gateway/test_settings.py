"""The gateway's settings refuse what cannot be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = GatewaySettings()
    assert (settings.host, settings.port, settings.body_limit_bytes) == ("127.0.0.1", 8000, 8 << 20)
    assert settings.sandbox_ttl_s == 300


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())


def test_names_and_origins_are_lists_as_toml_has_them() -> None:
    settings = GatewaySettings.model_validate(
        {"allowed_hosts": ["petri.internal", "a_b"], "allowed_origins": ["http://[::1]:3000", "https://example.org"]}
    )
    assert settings.allowed_hosts == ("petri.internal", "a_b")
    assert settings.allowed_origins == ("http://[::1]:3000", "https://example.org")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70_000},
        {"port": "8000"},
        {"uid": 0},
        {"body_limit_mib": 0},
        {"body_limit_mib": 65},
        {"drain_s": float("nan")},
        {"head_timeout_s": 0.0},
        {"body_timeout_s": float("inf")},
        {"head_limit_kib": 0},
        {"max_connections": 0},
        {"allowed_hosts": ("http://localhost",)},
        {"allowed_hosts": ("localhost:8000",)},
        {"allowed_hosts": ("*",)},
        {"allowed_hosts": ("a\n",)},
        {"allowed_hosts": "localhost"},
        {"allowed_origins": ("localhost",)},
        {"allowed_origins": ("https://example.org/",)},
        {"allowed_origins": ("null",)},
        {"allowed_origins": ("*",)},
        {"sandbox_ttl_s": 7200.0},
        {"bodies_mib": 7, "batch_body_limit_mib": 1},
        {"bodies_mib": 15},
        {"batch_body_limit_mib": 64, "bodies_mib": 63},
        {"hots": "127.0.0.1"},
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GatewaySettings.model_validate(wrong)


def test_all_that_cannot_hold_together_is_said_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        GatewaySettings(sandbox_ttl_s=7200.0, bodies_mib=7)
    assert "sandbox_ttl_s 7200 is above sandbox_max_ttl_s 3600; body_limit_mib 8 is above bodies_mib 7" in str(
        caught.value
    )
    assert "batch_body_limit_mib 16 is above bodies_mib 7" in str(caught.value)
