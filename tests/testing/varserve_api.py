"""The messages and services of proto/, compiled when this is imported. VARSERVE_STUBS names a folder where they are
compiled already, for a machine without grpc_tools."""

import importlib
import os
import pathlib
import sys
import tempfile
from types import ModuleType

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTOS = ("varserve/v1/var.proto", "varserve/v1/intervention.proto", "varserve/v1/inference.proto")


def _compile(out: str) -> None:
    from grpc_tools import protoc

    if protoc.main(["protoc", f"-I{ROOT}/proto", f"--python_out={out}", f"--grpc_python_out={out}", *PROTOS]) != 0:
        raise RuntimeError("the protos do not compile")


def _import(folder: str) -> list[ModuleType]:
    sys.path.insert(0, folder)
    return [
        importlib.import_module(f"varserve.v1.{name}") for name in ("inference_pb2", "inference_pb2_grpc", "var_pb2")
    ]


def _load() -> list[ModuleType]:
    if (compiled := os.environ.get("VARSERVE_STUBS")) is not None:
        return _import(compiled)
    with tempfile.TemporaryDirectory() as folder:
        _compile(folder)
        return _import(folder)


pb, services, var_pb = _load()
