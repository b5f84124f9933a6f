"""Print the names and shapes of a safetensors file's tensors as JSON: [[name, [dimension, ...]], ...].

usage: tensor_shapes.py FILE
"""

import json
import pathlib
import sys


def main() -> None:
    with pathlib.Path(sys.argv[1]).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    print(json.dumps([[name, tensor["shape"]] for name, tensor in header.items() if name != "__metadata__"]))


if __name__ == "__main__":
    main()
