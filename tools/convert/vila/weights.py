"""Names of VILA's tensors => those of transformers' LLaVA, and of InternVL's projector. All stay as they are."""

from __future__ import annotations

from checkpoint import Parts, Source
from decoder import tensor_names
from vila.config import Folders, Model

# Of each projector: the layers of torch's Sequential, or the only one.
PROJECTORS = {
    "linear": {"": "linear_1"},
    "mlp2x_gelu": {"0.": "linear_1", "2.": "linear_2"},
    "mlp_downsample": {"1.": "layer_norm", "2.": "linear_1", "4.": "linear_2"},
}
KINDS = ("weight", "bias")
TOWER_LAYER = (
    *(f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")),
    "layer_norm1",
    "layer_norm2",
    "mlp.fc1",
    "mlp.fc2",
)
# Buffers that transformers does not store any more, the other half of CLIP, SigLIP's pooling.
UNREAD_OF_TOWER = (
    r"vision_model\.embeddings\.position_ids|text_model\..*|(visual|text)_projection\..*|logit_scale|"
    r"vision_model\.head\..*"
)
UNREAD_OF_DECODER = r".*\.rotary_emb\.inv_freq"
# VILA 1.0's code loads the tower that config.json names, whatever the checkpoint has of it.
UNREAD_OF_FLAT = rf"{UNREAD_OF_DECODER}|model\.vision_tower\..*"


def renamed(names: dict[str, str]) -> dict[str, Parts]:
    return {old: {new: None} for old, new in names.items()}


def decoder(model: Model) -> dict[str, Parts]:
    return renamed(
        {
            name: f"model.language_model.{name.removeprefix('model.')}" if name.startswith("model.") else name
            for name in tensor_names(model.decoder)
        }
    )


def tower(model: Model) -> dict[str, Parts]:
    names = ["embeddings.patch_embedding.weight", "embeddings.position_embedding.weight"]
    names += [f"post_layernorm.{kind}" for kind in KINDS]
    if model.is_clip:
        names += ["embeddings.class_embedding", *(f"pre_layrnorm.{kind}" for kind in KINDS)]
    else:
        names.append("embeddings.patch_embedding.bias")
    for i in range(model.tower_layers):
        names += [f"encoder.layers.{i}.{name}.{kind}" for name in TOWER_LAYER for kind in KINDS]
    return renamed({f"vision_model.{name}": f"model.vision_tower.{name}" for name in names})


def projector(model: Model, root: str) -> dict[str, Parts]:
    return renamed(
        {
            f"{root}.{old}{kind}": f"model.multi_modal_projector.{new}.{kind}"
            for old, new in PROJECTORS[model.projector].items()
            for kind in KINDS
        }
    )


def sources(model: Model, folders: Folders) -> list[Source]:
    tower_source = Source(folders.tower, tower(model), UNREAD_OF_TOWER, f"{folders.tower.name}/")
    if folders.flat:
        both = decoder(model) | projector(model, "model.mm_projector")
        return [Source(folders.source, both, UNREAD_OF_FLAT), tower_source]
    return [
        Source(folders.llm, decoder(model), UNREAD_OF_DECODER, "llm/"),
        tower_source,
        Source(folders.source / "mm_projector", projector(model, "layers"), label="mm_projector/"),
    ]
