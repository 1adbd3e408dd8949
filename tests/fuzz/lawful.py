"""What peers that keep to the protocol send, for hypothesis to make; and what becomes of it on the way."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from runners.wire import Frame, Kind, encode

FROM_AGENT = [kind for kind in Kind if kind.from_agent]

frames = st.builds(
    Frame,
    kind=st.sampled_from(FROM_AGENT),
    stream=st.integers(0, 2**32 - 1) | st.just(1),
    payload=st.binary(max_size=200) | st.sampled_from([b"", b"{}", bytes(9000), bytes(64 << 10)]),
)
places = st.lists(st.integers(0, 2**32), max_size=12)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    """`stream` in pieces. The places may be anywhere; each means one that is in it."""
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in at)})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def chunk(stream: int, content: bytes) -> bytes:
    """As Docker's attach stream has it."""
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Lawful frames that something happened to on the way: lost, doubled, moved, changed, or made up."""
    stream = b"".join(map(encode, draw(st.lists(frames, max_size=5))))
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.integers(0, len(stream))) for _ in range(2))
        match draw(st.sampled_from(["lost", "doubled", "moved", "changed", "made up"])):
            case "lost":
                stream = stream[:start] + stream[end:]
            case "doubled":
                stream = stream[:end] + stream[start:]
            case "moved":
                stream = stream[end:] + stream[:end]
            case "changed":
                stream = stream[:start] + draw(st.binary(min_size=1, max_size=4)) + stream[start + 1 :]
            case "made up":
                stream = stream[:start] + draw(st.binary(max_size=40)) + stream[start:]
    return stream
