"""gRPC's messages in the bytes of a stream."""

import gzip
import zlib

import pytest

from nodes.net.grpc_framing import MAX_MESSAGE, Framing, GrpcError, frame, status_headers


def compressed(data: bytes) -> bytes:
    return b"\x01" + len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_any_slicing_gives_the_same_messages(size: int) -> None:
    messages = [b"one", b"", b"x" * 300, b"last"]
    data = b"".join(map(frame, messages))
    framing = Framing()
    heard = [message for at in range(0, len(data), size) for message in framing.receive(data[at : at + size])]
    assert heard == messages
    assert not framing.incomplete


def test_a_cut_message_is_incomplete() -> None:
    framing = Framing()
    assert list(framing.receive(frame(b"hello")[:-1])) == []
    assert framing.incomplete


def test_a_message_that_is_too_long_is_refused_by_its_length_after_those_before() -> None:
    receiving = Framing().receive(frame(b"good") + (b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big")))
    assert next(receiving) == b"good"
    with pytest.raises(GrpcError, match=f"longer than {MAX_MESSAGE} bytes") as caught:
        next(receiving)
    assert caught.value.code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_messages_are_taken(encoding, compress) -> None:
    assert list(Framing(encoding).receive(compressed(compress(b"hello")) + frame(b"plain"))) == [b"hello", b"plain"]


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("encoding", "data", "code"),
    [
        ("identity", gzip.compress(b"x"), "INTERNAL"),
        ("gzip", b"no gzip", "INTERNAL"),
        ("gzip", gzip.compress(b"x" * 100)[:-9], "INTERNAL"),
        ("gzip", gzip.compress(bytes(MAX_MESSAGE + 1)), "RESOURCE_EXHAUSTED"),
        ("deflate", zlib.compress(bytes(50_000_000)), "RESOURCE_EXHAUSTED"),
    ],
    ids=["without encoding", "garbage", "cut", "one byte too long", "bomb"],
)
def test_compressed_messages_that_are_no_good_are_refused(encoding: str, data: bytes, code: str) -> None:
    with pytest.raises(GrpcError) as caught:
        list(Framing(encoding).receive(compressed(data)))
    assert caught.value.code == code


def test_the_text_of_a_status_is_percent_encoded() -> None:
    assert status_headers("INTERNAL", "100 % of „it“\n") == [
        ("grpc-status", "13"),
        ("grpc-message", "100 %25 of %E2%80%9Eit%E2%80%9C%0A"),
    ]
    assert status_headers("OK", "") == [("grpc-status", "0")]
