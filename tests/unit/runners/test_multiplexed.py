"""Docker's attach stream: output comes out whole, errors are dropped, and a chunk's claimed length costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.multiplexed import Demultiplexer
from runners.wire import RunnerProtocolError


def chunk(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.integers(1, 17))
def test_standard_output_comes_out_whole_however_it_is_cut(chunks: list[tuple[int, bytes]], step: int) -> None:
    stream = b"".join(chunk(*one) for one in chunks)
    demultiplexer = Demultiplexer()
    received = b"".join(demultiplexer.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    assert received == b"".join(content for number, content in chunks if number == 1)


def test_an_enormous_chunk_is_passed_on_and_not_collected() -> None:
    demultiplexer = Demultiplexer()
    assert demultiplexer.feed(b"\x01\0\0\0\xff\xff\xff\xff" + b"x" * 100) == b"x" * 100
    assert demultiplexer.feed(b"y" * 100) == b"y" * 100


@pytest.mark.parametrize("header", [b"\x00\0\0\0\0\0\0\x01", b"\x03\0\0\0\0\0\0\x01", b"\x01\x01\0\0\0\0\0\x01"])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(RunnerProtocolError, match="not an attach stream header"):
        Demultiplexer().feed(header)
