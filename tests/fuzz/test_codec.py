"""The bytes of a hostile sandbox: frames or one error, however they are cut, and never more kept than one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from runners.multiplexed import Demultiplexer
from runners.wire import HEADER_BYTES, MAX_PAYLOAD_BYTES, Decoder, Frame, RunnerProtocolError, encode
from tests.fuzz.budget import examples
from tests.fuzz.corpus import LIES
from tests.fuzz.lawful import chunk, cut, damaged, frames, places

#: A whole frame of the largest kind is never pending, so what is falls short of it.
_MOST_PENDING = HEADER_BYTES + MAX_PAYLOAD_BYTES - 1


@dataclass
class Decoded:
    """What came of a stream: frames, and the fault that ended it."""

    frames: list[Frame] = field(default_factory=list)
    fault: str | None = None


def decode(pieces: list[bytes]) -> Decoded:
    decoder, decoded = Decoder(from_agent=True), Decoded()
    try:
        for piece in pieces:
            decoded.frames += decoder.feed(piece)
            assert decoder.pending_bytes <= _MOST_PENDING
        decoder.end()
    except RunnerProtocolError as error:
        decoded.fault = str(error)
        assert decoder.pending_bytes <= _MOST_PENDING
        assert decoder.error is error
    return decoded


def demultiplex(pieces: list[bytes]) -> tuple[bytes, str | None]:
    demultiplexer, kept = Demultiplexer(), b""
    try:
        for piece in pieces:
            one = demultiplexer.feed(piece)
            assert len(one) <= len(piece)
            kept += one
    except RunnerProtocolError as error:
        return kept, str(error)
    return kept, None if demultiplexer.error is None else str(demultiplexer.error)


@examples(150)
@given(st.lists(frames, max_size=6), places)
def test_lawful_frames_come_out_whole_however_they_are_cut(sent: list[Frame], at: list[int]) -> None:
    assert decode(cut(b"".join(map(encode, sent)), at)) == Decoded(sent)


@examples(400)
@given(damaged() | st.binary(max_size=400), places)
def test_damaged_frames_are_frames_or_one_fault_however_they_are_cut(stream: bytes, at: list[int]) -> None:
    assert decode(cut(stream, at)) == decode([stream])


@examples(100)
@given(st.sampled_from(sorted(LIES)), places)
def test_every_lie_is_frames_or_one_fault_however_it_is_cut(name: str, at: list[int]) -> None:
    assert decode(cut(LIES[name].said, at)) == decode([LIES[name].said])


@examples(60)
@given(damaged())
def test_a_stream_that_comes_byte_by_byte_is_the_same_stream(stream: bytes) -> None:
    stream = stream[:3000]
    assert decode([stream[at : at + 1] for at in range(len(stream))]) == decode([stream])


@examples(150)
@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50) | st.just(bytes(9000))), max_size=8), places)
def test_standard_output_comes_out_whole_of_dockers_stream(chunks: list[tuple[int, bytes]], at: list[int]) -> None:
    stream = b"".join(chunk(*one) for one in chunks)
    assert demultiplex(cut(stream, at)) == (b"".join(content for number, content in chunks if number == 1), None)


@examples(300)
@given(
    st.lists(
        st.builds(chunk, st.sampled_from([1, 1, 2, 0, 3, 255]), st.binary(max_size=30)) | st.binary(max_size=20),
        max_size=6,
    ),
    places,
)
def test_what_is_not_dockers_is_output_and_one_fault_however_it_is_cut(parts: list[bytes], at: list[int]) -> None:
    stream = b"".join(parts)
    assert demultiplex(cut(stream, at)) == demultiplex([stream])


@examples(150)
@given(st.lists(frames, max_size=4), places, st.lists(st.binary(max_size=30), max_size=4), places)
def test_frames_come_through_docker_whole_with_errors_among_them(
    sent: list[Frame], chunked_at: list[int], errors: list[bytes], at: list[int]
) -> None:
    """The two layers are cut independently of each other, as on the wire."""
    chunks = [chunk(1, piece) for piece in cut(b"".join(map(encode, sent)), chunked_at)]
    for number, error in enumerate(errors):
        chunks.insert(number * 2 % (len(chunks) + 1), chunk(2, error))
    demultiplexer = Demultiplexer()
    assert decode([demultiplexer.feed(piece) for piece in cut(b"".join(chunks), at)]) == Decoded(sent)
