"""Runs kernels for another process, in Triton's interpreter: tests/testing/interpreted_kernels.h. Both sides
speak over standard input and output.

Request: a line of JSON, {"kernel": name, "grid": [x, y, z], "storages": [bytes of each], "arguments": [...]}, where an
argument is a number or {"storage": index, "offset": bytes}, and then the storages. Reply: the storages afterwards.
A kernel's name may say fp32, a type that only exists here.
"""

import json
import sys

import numpy as np
import triton

from device_array import DeviceArray
from interpreter import multiply_bfloat16
from variants import Variant, variants

TYPES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "i8": "int8",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
}


def constants_of(variant: Variant, arguments: list) -> dict[str, int]:
    """The interpreter also computes what a mask leaves out, so a block is no larger than the inputs need."""
    given = dict(zip(variant.signature, arguments, strict=True))
    constants = dict(variant.constants)
    if "inputs" in given and "BLOCK" in constants:
        constants["BLOCK"] = min(constants["BLOCK"], triton.next_power_of_2(given["inputs"]))
    return constants


def run(kernels: dict[str, Variant], request: dict, storages: list[np.ndarray]) -> None:
    name = request["kernel"]
    variant = kernels[name.replace("fp32", "bf16")]
    arguments = []
    for given, kind in zip(request["arguments"], variant.signature.values(), strict=True):
        if isinstance(given, dict):
            element = kind.removeprefix("*")
            if "fp32" in name and element == "bf16":
                element = "fp32"
            arguments.append(DeviceArray.over(storages[given["storage"]][given["offset"] :], TYPES[element]))
        else:
            arguments.append(given)
    variant.function[tuple(request["grid"])](*arguments, **constants_of(variant, request["arguments"]))


def main() -> None:
    multiply_bfloat16()
    kernels = {variant.name: variant for variant in variants()}
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        storages = [np.frombuffer(bytearray(sys.stdin.buffer.read(size)), np.uint8) for size in request["storages"]]
        run(kernels, request, storages)
        for storage in storages:
            sys.stdout.buffer.write(storage.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
