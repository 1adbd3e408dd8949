"""The codec: any cut of the stream gives the same frames, garbage is refused politely, and nothing hostile is kept."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.wire import (
    HEADER_BYTES,
    MAX_OUTPUT_PAYLOAD_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_REPORT_PAYLOAD_BYTES,
    Decoder,
    Frame,
    Kind,
    RunnerProtocolError,
    encode,
)

LIMITS = dict.fromkeys((Kind.STDOUT, Kind.STDERR), MAX_OUTPUT_PAYLOAD_BYTES) | dict.fromkeys(
    (Kind.HELLO, Kind.EXIT, Kind.ERROR), MAX_REPORT_PAYLOAD_BYTES
)
FROM_AGENT = [kind for kind in Kind if kind.from_agent]
frames = st.builds(
    Frame,
    kind=st.sampled_from(FROM_AGENT),
    stream=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=200),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_of_the_stream_gives_the_same_frames(sent: list[Frame], places: list[int]) -> None:
    decoder = Decoder(from_agent=True)
    received: list[Frame] = []
    for piece in cut(b"".join(map(encode, sent)), places):
        received += decoder.feed(piece)
    assert received == sent
    decoder.end()


@given(st.lists(frames, max_size=3), st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 10_000), max_size=6))
def test_garbage_is_frames_or_one_error_however_it_is_cut(sent: list[Frame], garbage: bytes, places: list[int]) -> None:
    stream = b"".join(map(encode, sent)) + garbage

    def decode(pieces: list[bytes]) -> tuple[list[Frame], str | None]:
        decoder = Decoder(from_agent=True)
        received: list[Frame] = []
        try:
            for piece in pieces:
                received += decoder.feed(piece)
            decoder.end()
        except RunnerProtocolError as error:
            return received, str(error)
        return received, None

    whole, in_pieces = decode([stream]), decode(cut(stream, places))
    assert whole == in_pieces
    assert whole[0][: len(sent)] == sent


@pytest.mark.parametrize("kind", FROM_AGENT)
def test_a_length_over_the_limit_is_refused_from_the_header_alone(kind: Kind) -> None:
    limit = LIMITS.get(kind, MAX_PAYLOAD_BYTES)
    assert Decoder(from_agent=True).feed(struct.pack(">BII", kind, 1, limit)) == []
    with pytest.raises(RunnerProtocolError, match=f"{kind.name} of {limit + 1} bytes is over the limit of {limit}"):
        Decoder(from_agent=True).feed(struct.pack(">BII", kind, 1, limit + 1))


def test_a_decoder_holds_one_unfinished_frame_at_most() -> None:
    decoder = Decoder(from_agent=True)
    frame = encode(Frame(Kind.STDOUT, 1, b"x" * 1000))
    decoder.feed(frame * 50 + frame[:-1])
    assert decoder.pending_bytes == len(frame) - 1


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RunnerProtocolError, match="unknown frame kind 0x7f"):
        Decoder(from_agent=True).feed(b"\x7f" + bytes(HEADER_BYTES - 1))


def test_a_frame_of_the_other_direction_is_refused() -> None:
    with pytest.raises(RunnerProtocolError, match="EXEC is not sent in this direction"):
        Decoder(from_agent=True).feed(encode(Frame(Kind.EXEC, 1, b"{}")))
    with pytest.raises(RunnerProtocolError, match="EXIT is not sent in this direction"):
        Decoder(from_agent=False).feed(encode(Frame(Kind.EXIT, 1, b"{}")))


def test_frames_before_a_fault_are_delivered_and_the_fault_is_known_at_once() -> None:
    decoder = Decoder(from_agent=True)
    good = Frame(Kind.STDOUT, 1, b"hi")
    assert decoder.feed(encode(good) + b"\x00" * HEADER_BYTES) == [good]
    assert decoder.error is not None
    for _ in range(2):
        with pytest.raises(RunnerProtocolError, match="unknown frame kind 0x00"):
            decoder.feed(b"")


def test_an_end_inside_a_frame_is_an_error() -> None:
    decoder = Decoder(from_agent=True)
    decoder.feed(encode(Frame(Kind.STDOUT, 1, b"hi"))[:-1])
    with pytest.raises(RunnerProtocolError, match="ended inside a frame"):
        decoder.end()


def test_encoding_too_much_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="over the limit of 65536"):
        encode(Frame(Kind.STDOUT, 1, b"x" * (MAX_OUTPUT_PAYLOAD_BYTES + 1)))
