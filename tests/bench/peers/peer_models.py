"""The models of ./dev bench peers, made once in a folder: random weights, and what each peer makes of them."""

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

import seven_billion

# A Llama decoder of 1.1 B parameters with grouped heads (TinyLlama's shape), and CLIP-L/336.
SHAPE = seven_billion.Shape(layers=22, width=2048, inner=5632, heads=32, grouped_heads=4)
GROUPS = {8: 128, 4: 64}  # inputs that share a float32 scale, of --quantize
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def decoder_bytes(bits: int, vocabulary: int) -> float:
    """What a decoded token reads at least: all layers and the output embedding, which quantized is in 8 bits."""
    head = SHAPE.width // SHAPE.heads
    attention = 2 * SHAPE.width**2 + 2 * SHAPE.width * SHAPE.kv_heads * head
    layers = SHAPE.layers * (attention + 3 * SHAPE.width * SHAPE.inner)
    if bits == 16:
        return 2 * (layers + vocabulary * SHAPE.width)
    return layers * (bits / 8 + 4 / GROUPS[bits]) + vocabulary * SHAPE.width * (1 + 4 / GROUPS[8])


def once(path: pathlib.Path, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """`path`, which appears when it is complete."""
    if not path.exists():
        print(f"making {path.name}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"making-{path.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        make(scratch)
        scratch.rename(path)
    return path


def llava(folder: pathlib.Path, tokenizer: str) -> pathlib.Path:
    return once(folder / "llava-1.1b", lambda out: seven_billion.make(tokenizer, out, SHAPE))


def decoder(folder: pathlib.Path, tokenizer: str) -> pathlib.Path:
    """The text decoder alone, as a Llama directory, which llama.cpp converts."""

    def make(out: pathlib.Path) -> None:
        source = json.loads(pathlib.Path(tokenizer, "config.json").read_text())
        config = seven_billion.configuration(SHAPE, source)["text_config"]
        out.mkdir()
        (out / "config.json").write_text(
            json.dumps(
                config | {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16", "tie_word_embeddings": False}
            )
        )
        for name in TOKENIZER:
            shutil.copy(pathlib.Path(tokenizer, name), out)
        prefix = "language_model."
        shard = [
            (name.removeprefix(prefix), size)
            for name, size in seven_billion.tensors(SHAPE, config["vocab_size"])
            if name.startswith(prefix)
        ]
        seven_billion.write_safetensors(out / "model.safetensors", shard, seven_billion.RepeatedPool().pieces)

    return once(folder / "llama-1.1b", make)


def run(*command: str | pathlib.Path) -> None:
    """Raises RuntimeError with the last line of what the command printed."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
        raise RuntimeError(f"{pathlib.Path(command[0]).name} ended with exit code {done.returncode}: {last[:200]}")


def openvino(folder: pathlib.Path, python: str, source: pathlib.Path, weights: str) -> pathlib.Path:
    """`weights`: fp16, int8 or int4."""
    program = pathlib.Path(python).with_name("optimum-cli")
    command = [program, "export", "openvino", "--task", "image-text-to-text", "--weight-format", weights]
    return once(folder / f"openvino-{weights}", lambda out: run(*command, "--model", source, out))


def gguf(folder: pathlib.Path, llama_cpp: pathlib.Path, python: str, source: pathlib.Path, kind: str) -> pathlib.Path:
    """`kind`: bf16, Q8_0 or Q4_K_M."""
    convert = llama_cpp / "source" / "vendor" / "llama.cpp" / "convert_hf_to_gguf.py"
    original = once(
        folder / "decoder-bf16.gguf", lambda out: run(python, convert, source, "--outtype", "bf16", "--outfile", out)
    )
    if kind == "bf16":
        return original
    quantize = llama_cpp / "build" / "bin" / "llama-quantize"
    return once(folder / f"decoder-{kind}.gguf", lambda out: run(quantize, original, out, kind))
