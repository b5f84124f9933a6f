"""Variants of the weights and of how they are stored."""

from variant_parts import HEAD, INDEX, NORM, Q_PROJ, Add, Removed


def weight_variants(add: Add) -> None:
    weights = "model.safetensors"
    add("files are links into the hub's cache", hub_cache=True)
    add("shards, links into the hub's cache", hub_cache=True, weights={"shards": 3})
    add("weights are a dead link", (weights, "symbolic link"), safetensors={"link": "../../blobs/gone"})
    add("tokenizer is a dead link", ("tokenizer.json", "symbolic link"), tokenizer={"link": "../../blobs/gone"})
    for dtype in ("F16", "BF16", "F64"):
        add(f"weights in {dtype}", weights={"dtype": dtype})
    add(
        "weights in F16, no dtype in config.json",
        weights={"dtype": "F16"},
        config={"/text_config/torch_dtype": "float32"},
    )
    add("weights are not safetensors", weights, safetensors="no safetensors at all")

    shards = {"shards": 2}
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    entry = f"/weight_map/{NORM}"
    add("shards", weights=shards)
    add(
        "index names a shard that is missing",
        (INDEX, "gone.safetensors"),
        weights=shards,
        index={entry: "gone.safetensors"},
    )
    add(
        "index leads out of the directory",
        (INDEX, NORM, "../main/"),
        weights=shards,
        index={entry: f"../main/{first}"},
    )
    add("index names a folder", (INDEX, NORM, "sub/"), weights=shards, index={entry: f"sub/{first}"})
    add("index is not a string", (INDEX, NORM), weights=shards, index={entry: 1})
    add("index has a tensor in the wrong shard", weights=shards, index={entry: first, f"/weight_map/{HEAD}": second})
    add("index lacks a tensor", weights=shards, index={entry: Removed})
    add("index names a tensor that no shard has", weights=shards, index={"/weight_map/foo": first})
    add("index without weight_map", (INDEX, "weight_map"), weights=shards, index={"/weight_map": Removed})
    add("index is a list", (INDEX,), weights=shards, index="[]")
    add("single file and a broken index", index="[]")
    add("a shard without an index", (INDEX,), weights=shards, index=None)

    inv_freq = {"name": "language_model.model.rotary_emb.inv_freq", "shape": [8]}
    add(
        "extra tensors",
        weights={"add": [inv_freq, {"name": "foo", "shape": [2], "dtype": "I8"}]},
    )
    add("a tensor under both names", (weights, "twice", HEAD), weights={"copy": {"lm_head.weight": HEAD}})
    add("a tensor is missing", (weights, NORM.replace(".model", "")), weights={"drop": [NORM]})
    add(
        "a tensor has another shape",
        (weights, NORM, "[65]", "[64]"),
        weights={"drop": [NORM], "add": [{"name": NORM, "shape": [65]}]},
    )
    int8 = {"name": f"{Q_PROJ}.weight", "shape": [64, 64], "dtype": "I8"}
    add("int8 weights", (weights, Q_PROJ, "I8", "quantized"), weights={"drop": [f"{Q_PROJ}.weight"], "add": [int8]})
    add(
        "GPTQ weights",
        (weights, f"{Q_PROJ}.qweight", "quantized"),
        weights={"rename": {f"{Q_PROJ}.weight": f"{Q_PROJ}.qweight"}},
    )
    add("weights of PyTorch", "pytorch_model.bin", weights={"format": "bin"})
    add("GGUF", "model-q4.gguf", safetensors=None, gguf="GGUF")
    add("no weights", weights, safetensors=None)
    add(
        "an adapter beside the model",
        "adapter_config.json",
        adapter='{"peft_type": "LORA", "base_model_name_or_path": "x"}',
    )
