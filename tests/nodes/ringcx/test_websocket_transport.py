import ssl
import threading

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from flowcore import CannotStart
from nodes.ringcx.websocket_transport import WebSocketClient
from tests.support.live import PATIENCE


@pytest.fixture
def other_end():
    """The messages at the other end, its address, and an event for its end."""
    heard, over = [], threading.Event()

    def take(connection):
        try:
            heard.extend(connection)
            heard.append("closed in order")
        except ConnectionClosed:
            heard.append("reset")
        over.set()

    with serve(take, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield heard, f"ws://127.0.0.1:{server.socket.getsockname()[1]}/", over
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("message", [b"", b"x", b"ab", b"abc", b'{"event":"Connected"}'])
def test_a_message_in_pieces_is_one(other_end, message):
    heard, url, over = other_end
    client = WebSocketClient(url)
    client.send_slowly(message, 3, 0.003)
    client.hang_up()
    client.close()
    assert over.wait(PATIENCE)
    assert heard == [message.decode(), "closed in order"]


def test_a_reset_sends_no_close_frame(other_end):
    heard, url, over = other_end
    client = WebSocketClient(url)
    client.send(b"hello")
    while not heard:
        over.wait(0.01)
    client.reset()
    client.close()
    assert over.wait(PATIENCE)
    assert heard == ["hello", "reset"]


def test_a_receiver_whose_certificate_is_not_trusted_here_and_one_without_any():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    for tls, says in ((context, "SSL_CERT_FILE=FILE names one more"), (None, "write ws:// for a receiver without TLS")):
        with serve(lambda connection: None, "127.0.0.1", 0, ssl=tls) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            with pytest.raises(CannotStart, match=says):
                WebSocketClient(f"wss://localhost:{server.socket.getsockname()[1]}/")
            server.shutdown()
            thread.join()
