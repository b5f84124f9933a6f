"""HTTP by hand, for clients that behave badly. Used by one thread."""

from __future__ import annotations

import json
import socket


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A whole POST to /v1/chat/completions; `length`: what it says about itself."""
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: test",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    def __init__(self, address: str, receive_buffer: int = 0) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect((host, int(port)))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> tuple[int, dict]:
        """Status and JSON of one reply; status 0 if the connection ends before."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := self._receive()):
                return 0, {}
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < length:
            body += self._receive()
        return int(head.split()[1]), json.loads(body)

    def ended(self) -> bool:
        """Whether the server closes the connection without another byte."""
        return not self._receive()

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(1 << 16)
        except ConnectionError:
            return b""
