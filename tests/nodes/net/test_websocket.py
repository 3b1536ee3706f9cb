"""The WebSocket of a server without its socket: the shortcut for text frames changes nothing, and limits hold."""

import base64
import codecs
import os
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from nodes.net.websocket import MAX_MESSAGE, WebSocket

KEY = base64.b64encode(bytes(16)).decode()
UPGRADE = (
    f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
).encode()


def frame(opcode: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def text(data: bytes) -> bytes:
    return frame(Opcode.TEXT, data)


def opened() -> WebSocket:
    websocket = WebSocket()
    assert websocket.receive(UPGRADE) == []
    assert websocket.accept()
    websocket.output()
    return websocket


def close_code(websocket: WebSocket) -> int:
    """The code of the close frame in the output."""
    sent = b"".join(websocket.output())
    at = sent.index(b"\x88")
    return int.from_bytes(sent[at + 2 : at + 4], "big")


@pytest.mark.fault(4)
def test_compression_and_subprotocol_are_declined() -> None:
    websocket = WebSocket()
    websocket.receive(UPGRADE)
    assert websocket.accept()
    answer = b"".join(websocket.output()).lower()
    assert answer.startswith(b"http/1.1 101 ")
    assert b"extensions" not in answer
    assert b"sec-websocket-protocol" not in answer


def test_frames_right_behind_the_request_wait_for_the_answer() -> None:
    websocket = WebSocket()
    two = text(b"two")
    assert websocket.receive(UPGRADE + text(b"one") + two[:4]) == []
    assert websocket.accept()
    assert websocket.receive(b"") == [b"one"]
    assert websocket.receive(two[4:]) == [b"two"]


def fragments(opcode: Opcode, parts: list[bytes]) -> bytes:
    """A message in fragments, with a ping behind the first."""
    first, *others = parts
    rest = b"".join(frame(Opcode.CONT, part, fin=False) for part in others)
    return frame(opcode, first, fin=False) + frame(Opcode.PING) + rest + frame(Opcode.CONT, b"end")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places)]


UTF8 = st.text(max_size=120).map(str.encode)
FRAMES = st.one_of(
    st.text(st.characters(codec="ascii"), max_size=300).map(lambda said: text(said.encode())),
    UTF8.map(text),
    st.binary(max_size=300).map(lambda data: frame(Opcode.BINARY, data)),
    st.binary(max_size=20).map(lambda data: frame(Opcode.PING, data)),
    st.builds(pieces, UTF8, st.lists(st.integers(0, 100), max_size=4)).map(lambda parts: fragments(Opcode.TEXT, parts)),
    st.lists(st.binary(max_size=40), min_size=1, max_size=4).map(lambda parts: fragments(Opcode.BINARY, parts)),
)
ILL = st.one_of(
    st.binary(max_size=30),
    st.just(b"\x81\x05hello"),  # not masked
    st.just(b"\xc1\x80\0\0\0\0"),  # reserved bit
    st.just(b"\x83\x80\0\0\0\0"),  # reserved opcode
    st.just(frame(Opcode.CONT, b"x")),  # continues nothing
    st.just(frame(Opcode.TEXT, b"x", fin=False) + text(b"y")),  # starts in the middle
    st.just(b"\x89\xfe\x00\x80" + bytes(132)),  # ping of 128 bytes
    st.just(b"\x89\xfe\x00\x80"),  # its header
    st.just(text(b"\xff")),  # not UTF-8
    st.just(text(b"\xff" * 200)),
    st.just(frame(Opcode.TEXT, b"a\xff", fin=False)),
    st.just(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(4)),  # announces 1 GiB
    st.just(frame(Opcode.CLOSE, b"\x00")),
    st.just(frame(Opcode.CLOSE, b"\x03\xe8\xff\xff")),  # reason is not UTF-8
    st.just(frame(Opcode.CLOSE, b"\x03\xe8")),
    st.just(frame(Opcode.CLOSE)),
)


TOO_BIG, VIOLATION = (1009).to_bytes(2, "big"), (1002).to_bytes(2, "big")


def judged_by_websockets(data: bytes, rest: bytes = b"") -> tuple[list[bytes], bytes, bool]:
    """The result of plain `ServerProtocol` for ``data``: messages, bytes to send, and whether it is over.

    It leaves the check of UTF-8 to its caller, who sees each frame as soon as its last byte is there. ``rest`` ends the
    last frame.
    """
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
    messages, parts = [], []
    decoder = None
    for piece in (*(bytes([byte]) for byte in data), rest):
        if protocol.eof_sent or not piece:
            break
        protocol.receive_data(piece)
        for event in protocol.events_received():
            if not isinstance(event, Frame) or event.opcode >= 8:
                continue
            if event.opcode is Opcode.TEXT:
                decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                if decoder is not None:
                    decoder.decode(bytes(event.data), event.fin)
            except UnicodeDecodeError as error:
                protocol.fail(1007, error.reason)
                continue
            parts.append(bytes(event.data))
            if event.fin:
                messages.append(b"".join(parts))
                parts.clear()
                decoder = None
    return messages, b"".join(protocol.data_to_send()), protocol.eof_sent


@pytest.mark.fault(7)
@settings(max_examples=600)
@given(st.lists(FRAMES, max_size=8), ILL, st.lists(st.integers(0, 2000), max_size=12))
@example([frame(Opcode.PING)], b"\x89\xff" + b"\x7f" * 8, [])
@example([text(b"a"), frame(Opcode.TEXT, b"", fin=False), text(b"b")], b"", [1])
@pytest.mark.slow
def test_any_bytes_in_any_pieces_mean_what_websockets_says(good: list[bytes], ill: bytes, cuts: list[int]) -> None:
    data = b"".join(good) + ill
    websocket = opened()
    messages = []
    for piece in pieces(data, cuts):
        messages += websocket.receive(piece)
    result = messages, b"".join(websocket.output()), websocket.finished
    expected = judged_by_websockets(data)
    if result[2] and not expected[2]:  # `websockets` refuses an illegal header only once the frame is whole
        expected = judged_by_websockets(data, rest=bytes(MAX_MESSAGE + 20))
    if TOO_BIG in expected[1] and VIOLATION in result[1]:  # an illegal header that also announces too much
        assert (result[0], result[2]) == (expected[0], expected[2])
    else:
        assert result == expected


@pytest.mark.parametrize(
    "data",
    [
        text(b"\xff"),
        text(b"caf\xc3"),
        text(b"\xed\xa0\x80"),  # a surrogate
        text(b"x" * 200 + b"\xc0\x80"),  # an overlong form
        frame(Opcode.TEXT, b"caf\xc3", fin=False) + frame(Opcode.CONT, b"x"),
        frame(Opcode.TEXT, b"\xf4\x90", fin=False),  # beyond Unicode: known by its first fragment
    ],
    ids=["lone byte", "cut short", "surrogate", "overlong", "over fragments", "beyond Unicode"],
)
@pytest.mark.parametrize("before", [b"", text(b"x" * 200)], ids=["first", "later"])
def test_invalid_utf8_in_a_text_frame_closes_with_1007(before: bytes, data: bytes) -> None:
    websocket = opened()
    assert websocket.receive(before + data) == [b"x" * 200] * bool(before)
    assert close_code(websocket) == 1007
    assert websocket.end_reason == "peer_broke_protocol"
    assert websocket.receive(text(b"more")) == []


def test_text_may_be_cut_between_the_bytes_of_a_character_and_binary_messages_hold_any() -> None:
    websocket = opened()
    said = "café ☎ 🎧".encode()
    for cut in range(len(said)):
        assert websocket.receive(
            frame(Opcode.TEXT, said[:cut], fin=False) + frame(Opcode.CONT, said[cut:]) + frame(Opcode.BINARY, b"\xff")
        ) == [said, b"\xff"]


def test_close_within_a_fragmented_message_closes_with_1000() -> None:
    websocket = opened()
    assert websocket.receive(frame(Opcode.TEXT, b"half", fin=False) + frame(Opcode.CLOSE, b"\x03\xe8")) == []
    assert close_code(websocket) == 1000
    assert websocket.end_reason == "peer_closed"


@pytest.mark.parametrize(
    ("before", "header"),
    [
        (b"", b"\xc1\xfe"),  # a reserved bit
        (b"", b"\x83\xfe"),  # a reserved opcode
        (b"", b"\x81\x7e"),  # not masked
        (b"", b"\x89\xfe"),  # a long ping
        (b"", b"\x09\x85"),  # a fragmented ping
        (b"", b"\x80\xfe"),  # continues nothing
        (frame(Opcode.TEXT, b"half", fin=False), b"\x81\xfe"),  # starts in the middle
        (frame(Opcode.BINARY, b"half", fin=False), b"\x82\xfe"),
    ],
    ids=["bit", "opcode", "unmasked", "long ping", "cut ping", "continues nothing", "text in text", "binary in binary"],
)
def test_illegal_frame_is_refused_by_its_first_two_bytes(before: bytes, header: bytes) -> None:
    websocket = opened()
    assert websocket.receive(before) == []
    assert not websocket.finished
    websocket.receive(header)
    assert close_code(websocket) == 1002
    assert websocket.end_reason == "peer_broke_protocol"


def test_split_at_every_byte_gives_the_same_messages() -> None:
    data = text(b"") + text(b"x" * 125) + frame(Opcode.PING, b"p") + text(b"y" * 126) + text(b"z" * 400)
    for cut in range(len(data)):
        websocket = opened()
        whole = websocket.receive(data[:cut]) + websocket.receive(data[cut:])
        assert whole == [b"", b"x" * 125, b"y" * 126, b"z" * 400]


@pytest.mark.fault(1)
def test_message_of_64_kib_is_taken_and_one_byte_more_is_refused() -> None:
    websocket = opened()
    assert websocket.receive(text(bytes(MAX_MESSAGE - 1))) == [bytes(MAX_MESSAGE - 1)]
    assert websocket.receive(text(bytes(MAX_MESSAGE))) == [bytes(MAX_MESSAGE)]
    assert websocket.receive(text(bytes(MAX_MESSAGE + 1))) == []
    assert close_code(websocket) == 1009
    assert websocket.end_reason == "peer_broke_protocol"


def test_one_gib_is_refused_by_its_header_alone() -> None:
    websocket = opened()
    assert websocket.receive(b"\x81\xff" + (1 << 30).to_bytes(8, "big")) == []
    assert close_code(websocket) == 1009
    assert websocket.receive(bytes(1000)) == []


@pytest.mark.fault(2)
@pytest.mark.parametrize("size", [0, 1])
def test_endless_fragments_are_refused_after_64(size: int) -> None:
    websocket = opened()
    flood = frame(Opcode.TEXT, bytes(size), fin=False) + frame(Opcode.CONT, bytes(size), fin=False) * 1000
    assert websocket.receive(flood) == []
    assert websocket.frames == 64
    assert close_code(websocket) == 1009
    assert websocket.end_reason == "peer_broke_protocol"


def test_fragments_together_may_not_pass_the_limit() -> None:
    websocket = opened()
    for _ in range(9):
        websocket.receive(frame(Opcode.TEXT if _ == 0 else Opcode.CONT, bytes(8000), fin=False))
    assert close_code(websocket) == 1009


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_before_the_upgrade_are_answered_or_awaited(data: bytes) -> None:
    websocket = WebSocket()
    websocket.receive(data)
    websocket.receive(b"\r\n\r\n")
    answer = b"".join(websocket.output())
    assert answer.startswith(b"HTTP/1.1 4") == websocket.finished
    assert websocket.receive(os.urandom(10)) == []


@pytest.mark.fault(6)
def test_request_of_many_legal_lines_is_cut_off() -> None:
    websocket = WebSocket()
    websocket.receive(b"GET / HTTP/1.1\r\n")
    for _ in range(20):
        websocket.receive(b"X: " + b"y" * 8000 + b"\r\n")
    assert b"".join(websocket.output()).startswith(b"HTTP/1.1 431 ")
    assert websocket.finished


def test_long_reason_is_cut_to_what_a_close_frame_holds() -> None:
    websocket = opened()
    websocket.close(1011, "ä" * 100)
    sent = b"".join(websocket.output())
    assert sent == b"\x88\x7c" + (1011).to_bytes(2, "big") + ("ä" * 61).encode()


def test_unusual_frames_are_counted_and_the_peers_goodbye_is_known() -> None:
    websocket = opened()
    websocket.receive(text(b"usual") + frame(Opcode.PING) + frame(Opcode.BINARY, b"x") + frame(Opcode.PONG))
    assert websocket.other_frames == {"ping": 1, "binary": 1, "pong": 1}
    assert websocket.close_received is None
    websocket.receive(frame(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"done"))
    assert (websocket.close_received.code, websocket.close_received.reason) == (1000, "done")


def test_ping_asks_for_a_pong_while_the_connection_is_open() -> None:
    websocket = opened()
    websocket.ping()
    assert b"".join(websocket.output()) == b"\x89\x00"
    websocket.receive(frame(Opcode.CLOSE, (1000).to_bytes(2, "big")))
    websocket.output()
    websocket.ping()
    assert websocket.output() == []
