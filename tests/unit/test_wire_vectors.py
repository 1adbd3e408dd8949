"""The byte vectors that bind both implementations of the frame codec, read with `runners.wire`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runners.wire import Decoder, Frame, Kind, RunnerProtocolError, encode

VECTORS = Path(__file__).resolve().parents[2] / "runners" / "vectors"

#: The vectors name a fault in one word; this is how `runners.wire` says it.
SENTENCES = {
    "unknown_kind": "unknown frame kind 0x",
    "wrong_direction": "is not sent in this direction",
    "too_large": "is over the limit of",
}

#: Vectors up to this size are cut at every position.
EVERY_CUT_BYTES = 2000


def bytes_of(parts: list[Any]) -> bytes:
    return b"".join(
        bytes.fromhex(part) if isinstance(part, str) else bytes.fromhex(part["repeat"]) * part["times"]
        for part in parts
    )


def frames_of(described: list[dict[str, Any]]) -> list[Frame]:
    return [Frame(Kind[frame["kind"]], frame["stream"], bytes_of(frame["payload"])) for frame in described]


def vectors(*files: str) -> Any:
    read = [vector for file in files for vector in json.loads((VECTORS / file).read_text())["vectors"]]
    assert read
    return pytest.mark.parametrize("vector", read, ids=[vector["name"] for vector in read])


def decoder_for(vector: dict[str, Any]) -> Decoder:
    return Decoder(from_agent=vector["from"] == "agent")


def all_of(vector: dict[str, Any]) -> tuple[bytes, list[Frame]]:
    """The vector's bytes in one piece, and all its frames."""
    whole = b"".join(bytes_of(feed["bytes"]) for feed in vector["feeds"])
    return whole, [frame for feed in vector["feeds"] for frame in frames_of(feed["frames"])]


def collect(decoder: Decoder, pieces: list[bytes]) -> list[Frame]:
    """The frames of `pieces`, up to a fault."""
    frames: list[Frame] = []
    for piece in pieces:
        try:
            frames += decoder.feed(piece)
        except RunnerProtocolError:
            break
    return frames


@vectors("frames.json", "cuts.json")
def test_each_feed_completes_exactly_its_frames(vector: dict[str, Any]) -> None:
    decoder = decoder_for(vector)
    for feed in vector["feeds"]:
        assert decoder.feed(bytes_of(feed["bytes"])) == frames_of(feed["frames"])
    assert decoder.pending_bytes == vector.get("pending", 0)


@vectors("cuts.json")
def test_a_channel_may_end_between_frames_and_not_inside_one(vector: dict[str, Any]) -> None:
    decoder = decoder_for(vector)
    collect(decoder, [bytes_of(feed["bytes"]) for feed in vector["feeds"]])
    if vector.get("pending"):
        with pytest.raises(RunnerProtocolError, match=f"inside a frame, {vector['pending']} bytes in"):
            decoder.end()
    else:
        decoder.end()


@vectors("frames.json")
def test_encoding_the_frames_gives_the_bytes_back(vector: dict[str, Any]) -> None:
    whole, frames = all_of(vector)
    assert b"".join(map(encode, frames)) == whole


@vectors("faults.json")
def test_a_fault_is_named_and_stays(vector: dict[str, Any]) -> None:
    whole, frames = all_of(vector)
    decoder = decoder_for(vector)
    assert collect(decoder, [whole]) == frames
    for _ in range(2):
        with pytest.raises(RunnerProtocolError, match=SENTENCES[vector["fault"]]):
            decoder.feed(b"\x00")


@vectors("frames.json", "cuts.json", "faults.json")
def test_how_the_bytes_are_cut_changes_nothing(vector: dict[str, Any]) -> None:
    whole, frames = all_of(vector)
    cuts = range(len(whole) + 1) if len(whole) <= EVERY_CUT_BYTES else (1, 9, 10, len(whole) - 1)
    for cut in cuts:
        assert collect(decoder_for(vector), [whole[:cut], whole[cut:]]) == frames, f"cut at {cut}"
    if len(whole) <= EVERY_CUT_BYTES:
        pieces = [whole[at : at + 1] for at in range(len(whole))]
        assert collect(decoder_for(vector), pieces) == frames, "byte by byte"


@pytest.mark.parametrize("kind", Kind)
def test_a_frame_over_its_limit_is_not_encoded(kind: Kind) -> None:
    small = (Kind.STDOUT, Kind.STDERR, Kind.HELLO, Kind.EXIT, Kind.ERROR)
    limit = 64 << 10 if kind in small else 1 << 20
    with pytest.raises(ValueError, match=f"is over the limit of {limit} bytes"):
        encode(Frame(kind, 1, bytes(limit + 1)))


def test_the_vectors_cover_every_kind_in_either_role() -> None:
    read = json.loads((VECTORS / "frames.json").read_text())["vectors"]
    used = {frame["kind"] for vector in read for feed in vector["feeds"] for frame in feed["frames"]}
    assert used == {kind.name for kind in Kind}
