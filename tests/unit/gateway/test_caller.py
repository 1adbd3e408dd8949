"""Whom a request is from, and that nobody can learn a credential from it."""

from __future__ import annotations

import pytest

from gateway.caller import caller_of


def scope(*headers: tuple[bytes, bytes], client: str = "127.0.0.1") -> dict[str, object]:
    return {"headers": list(headers), "client": (client, 1234)}


def test_without_a_credential_it_is_the_clients_address() -> None:
    assert caller_of(scope()) == caller_of(scope((b"accept", b"*/*")))
    assert caller_of(scope()) != caller_of(scope(client="127.0.0.2"))
    assert caller_of({"headers": [], "client": None}).startswith("addr_")


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
def test_a_credential_tells_callers_apart_wherever_they_are(name: bytes) -> None:
    one, other = caller_of(scope((name, b"secret one"))), caller_of(scope((name, b"secret two")))
    assert one != other
    assert one == caller_of(scope((name, b" secret one "), client="10.0.0.1"))


def test_authorization_comes_before_a_key_and_an_empty_one_is_none() -> None:
    both = scope((b"x-api-key", b"k"), (b"authorization", b"a"))
    assert caller_of(both) == caller_of(scope((b"authorization", b"a")))
    assert caller_of(scope((b"authorization", b" "))) == caller_of(scope())


def test_the_credential_is_not_in_the_name_and_the_name_fits_the_pools_packet() -> None:
    name = caller_of(scope((b"authorization", b"Bearer hunter2" * 100)))
    assert "hunter2" not in name
    assert len(name) == len("key_") + 24
