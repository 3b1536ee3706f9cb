"""Count the connections that are lost when one of two listening sockets closes: SO_REUSEPORT, and a shared socket.

python tools/reuseport.py
"""

from __future__ import annotations

import socket

CONNECTIONS = 200


def listening(port: int = 0) -> socket.socket:
    """Return a socket beside which others can listen at the same port of 127.0.0.1."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.bind(("127.0.0.1", port))
    opened.listen(CONNECTIONS)
    return opened


def lost(old: socket.socket, new: socket.socket) -> int:
    """Connect many times, close ``old``, and return how many connections ``new`` cannot accept."""
    new.setblocking(False)
    clients = [socket.create_connection(new.getsockname()) for _ in range(CONNECTIONS)]
    old.close()
    accepted = []
    while True:
        try:
            accepted.append(new.accept()[0])
        except BlockingIOError:
            break
    for connection in (*clients, *accepted, new):
        connection.close()
    return CONNECTIONS - len(accepted)


if __name__ == "__main__":
    first = listening()
    print(f"SO_REUSEPORT: {lost(first, listening(first.getsockname()[1]))} of {CONNECTIONS} connections lost")
    first = listening()
    print(f"shared socket: {lost(first, first.dup())} of {CONNECTIONS} connections lost")
