"""The messages of proto/, and calls without the client of the Python package, for tests of what goes over the wire.
./dev puts the package on Python's path."""

from collections.abc import Callable

import grpc
from varserve.attempts import method
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import var_pb2 as var_pb

__all__ = ["VisionLanguageStub", "pb", "var_pb"]


class VisionLanguageStub:
    """A callable of each method's name."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Callable:
        return method(self._channel, name)
