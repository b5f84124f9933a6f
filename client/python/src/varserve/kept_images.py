"""The images that a server said it keeps: requests name them instead of sending them again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from varserve.v1 import inference_pb2 as pb

MOST_IMAGES = 4096  # more than a server keeps for one caller


class KeptImages:
    """Digests of images that one server, or several behind one address, keep for this client. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: dict[str, None] = {}  # the oldest first

    def add(self, digests: Iterable[str]) -> None:
        with self._lock:
            self._digests.update(dict.fromkeys(digests))
            while len(self._digests) > MOST_IMAGES:
                del self._digests[next(iter(self._digests))]

    def remove(self, digests: Iterable[str]) -> None:
        with self._lock:
            for digest in digests:
                self._digests.pop(digest, None)

    def among(self, digests: Iterable[str]) -> set[str]:
        """Those that were added, and are not removed since."""
        with self._lock:
            return {digest for digest in digests if digest in self._digests}


def digests_of(request: Message) -> list[str]:
    """Hex SHA-256 of each image whose data a request has, in order."""
    return [hashlib.sha256(image.data).hexdigest() for image in _images(request) if image.HasField("data")]


def naming(request: Message, digests: set[str]) -> Message:
    """A copy of the request with the digests of these images in place of their data."""
    copy = type(request)()
    copy.CopyFrom(request)
    for image in _images(copy):
        if image.HasField("data") and (digest := hashlib.sha256(image.data).hexdigest()) in digests:
            image.sha256 = digest
    return copy


def _images(message: Message) -> Iterator[pb.Image]:
    if isinstance(message, pb.Image):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in [value] if isinstance(value, Message) else value:
            yield from _images(inner)
