"""What is stored of a reference's run, and how it is compared with what is computed now."""

from dataclasses import dataclass

import numpy as np

from var_reference import Prompt

TOLERANCE = 1e-4  # another processor rounds otherwise


@dataclass
class Golden:
    prompt: Prompt
    facts: dict  # for JSON
    tensors: dict  # float32 and int64
    serves: bool  # every decision in it is clear, and it shows what it has to show


def compare(name: str, golden: Golden, facts: dict, tensors: dict[str, np.ndarray]) -> None:
    if not golden.serves:
        raise AssertionError(f"{name}: the prompt does not serve any more")
    if golden.facts.keys() != facts.keys() or golden.tensors.keys() != tensors.keys():
        raise AssertionError(f"{name}: other contents are stored")
    for key, value in facts.items():
        if key.endswith("gap"):
            np.testing.assert_allclose(golden.facts[key], value, rtol=0, atol=TOLERANCE, err_msg=f"{name}: {key}")
        elif golden.facts[key] != value:
            raise AssertionError(f"{name}: another {key} is stored")
    for key, tensor in tensors.items():
        computed = golden.tensors[key]
        if (computed.dtype, computed.shape) != (tensor.dtype, tensor.shape):
            raise AssertionError(f"{name}: {key} is {tensor.dtype} {tensor.shape}")
        atol = 0 if tensor.dtype == np.int64 else TOLERANCE
        np.testing.assert_allclose(computed, tensor, rtol=0, atol=atol, err_msg=f"{name}: {key}")
