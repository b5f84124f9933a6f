"""A gRPC call whose request message never arrives whole: HTTP/2 by hand, as no gRPC client sends half a message."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_HEADERS, ACK = 4, 1
MAX_FRAME = 16384


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field of HPACK without indexing or compression."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class StalledUpload:
    """Announces a message of `size` bytes, sends `sent` of them as fast as the server takes them, and waits."""

    def __init__(self, address: str, path: str, size: int, sent: int, headers: dict[str, str] | None = None) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._left, self._windows = (
            sent,
            {0: 65535, 1: 65535},
        )  # bytes the server takes: of the connection, of the stream
        self._changed = threading.Condition()
        self.ended = threading.Event()  # the server ended the call, or the connection
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": address, "te": "trailers"}
        fields |= {"content-type": "application/grpc", **(headers or {})}
        block = b"".join(literal(name, value) for name, value in fields.items())
        self._send(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, block))
        self._unsent_prefix = b"\0" + struct.pack(">I", size)
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.ended.set()

    def _write(self) -> None:
        while not self.ended.is_set():
            with self._changed:
                room = min(MAX_FRAME, *self._windows.values())
                if room <= 16:
                    self._changed.wait(1)
                    continue
                piece = self._unsent_prefix + bytes(min(self._left, room - len(self._unsent_prefix)))
                self._left -= len(piece) - len(self._unsent_prefix)
                self._unsent_prefix = b""
                if not piece:
                    return
                for stream in self._windows:
                    self._windows[stream] -= len(piece)
            self._send(frame(DATA, 0, 1, piece))

    def _read(self) -> None:
        stream = self._socket.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while len(head := stream.read(9)) == 9:
                kind, flags, number = head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
                payload = stream.read(int.from_bytes(head[:3], "big"))
                if kind == SETTINGS and not flags & ACK:
                    self._on_settings(payload)
                elif kind == WINDOW_UPDATE:
                    self._widen(number, int.from_bytes(payload, "big"))
                elif kind == PING and not flags & ACK:
                    self._send(frame(PING, ACK, 0, payload))
                elif kind == GOAWAY or (number == 1 and kind in (HEADERS, 3)):  # trailers, RST_STREAM
                    break
        self.ended.set()

    def _on_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at : at + 6])
            if name == 4:  # INITIAL_WINDOW_SIZE
                self._widen(1, value - 65535)
        self._send(frame(SETTINGS, ACK, 0))

    def _widen(self, stream: int, by: int) -> None:
        with self._changed:
            if stream in self._windows:
                self._windows[stream] += by
            self._changed.notify_all()
