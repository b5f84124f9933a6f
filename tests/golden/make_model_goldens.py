"""Writes models/ and data/ of this folder, or with --check compares them with what it computes."""

import argparse
import json
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import Qwen2VLImageProcessor
from transformers.modeling_outputs import ModelOutput

import contrast_cases
import contrast_reference
import intervention_cases
import model_specs
from golden import Golden, compare
from intervention_reference import ChangedDecoder
from prompts import make_prompt, prompt_of
from tiny_model import MODELS, build, has_tile_text, has_tiles, load_spec, pixel_values
from var_cases import ADJACENT_IMAGES, CASES, IMAGE_FIRST, ONE_IMAGE, SEPARATED_IMAGES, Case, Layout
from var_reference import PAPER, Decoder, Prompt, VarSettings, generate
from var_report import report_tensors

DATA = pathlib.Path(__file__).parent / "data"
MODEL_LAYOUTS = {
    "clip_mha": ONE_IMAGE,
    "clip_gqa": ADJACENT_IMAGES,
    "dinov2_gqa": IMAGE_FIRST,
    "llama3_rope": ONE_IMAGE,
    "mistral": ONE_IMAGE,
    "qwen2": ADJACENT_IMAGES,
    "qwen3": ONE_IMAGE,
    "qwen2_vl": SEPARATED_IMAGES,
    "qwen2_5_vl": SEPARATED_IMAGES,
    "qwen3_vl": SEPARATED_IMAGES,
    "llava_next": SEPARATED_IMAGES,
    "llava_onevision": SEPARATED_IMAGES,
    "internvl": SEPARATED_IMAGES,
    "internvl3_5": ADJACENT_IMAGES,
    "vila1_5": SEPARATED_IMAGES,
    "vila1_0": ADJACENT_IMAGES,
    "idefics3": SEPARATED_IMAGES,
    "smolvlm": ADJACENT_IMAGES,
}
MODEL_TOKENS = 32
VAR_TOKENS = 16
MIN_GAP = 2e-4  # of sink tests and head decisions
MAX_GAP = 1e3  # written where nothing can turn
MIN_GREEDY_GAP = 1e-3  # of logits
MAX_SEEDS = 200
OFF = VarSettings("OFF", PAPER, 0.0, 0.0, 0.0, 0.0, 0, 0)


class TinyModel:
    """One tiny model, in transformers and in the reference."""

    def __init__(self, name: str) -> None:
        self.spec = load_spec(name)
        self.model = build(self.spec)
        self.decoder = Decoder(self.model, self.spec["profile"]["sink_dimensions"])

    def image_inputs(self, prompt: Prompt, noisy: Callable | None = None) -> dict[str, torch.Tensor]:
        """The pictures as the model takes them, after what `noisy` does to each."""
        if not prompt.spans:
            return {}
        values = enumerate(pixel_values(self.spec, len(prompt.spans)))
        pixels = [torch.from_numpy(noisy(i, p) if noisy else p) for i, p in values]
        vision = self.spec["config"]["vision_config"]
        if has_tiles(self.spec):
            tiles = [picture.unflatten(1, (-1, picture.shape[2])).transpose(0, 1) for picture in pixels]
            if has_tile_text(self.spec):  # [1, tiles of all pictures, ..]
                return {"pixel_values": torch.cat(tiles)[None]}
            sizes = self.spec.get("picture_sizes", [])[: len(pixels)]
            return {"pixel_values": torch.cat(tiles)} | ({"image_sizes": torch.tensor(sizes)} if sizes else {})
        if "spatial_merge_size" not in vision:
            return {"pixel_values": torch.stack(pixels)}
        sizes = {"patch_size": vision["patch_size"], "merge_size": vision["spatial_merge_size"]}
        frames = vision["temporal_patch_size"]
        patches, grids = [], []
        for picture in pixels:
            of_picture, rows, cols = Qwen2VLImageProcessor().patchify(
                picture[None], **sizes, temporal_patch_size=frames
            )
            patches.append(of_picture[0])
            grids.append([1, rows, cols])
        return {"pixel_values": torch.cat(patches), "image_grid_thw": torch.tensor(grids)}

    @torch.no_grad()
    def image_features(self, prompt: Prompt) -> list[np.ndarray]:
        """[1 + D, P, C] of each image: the visual tokens, and what is added to them after the first D layers"""
        if not prompt.spans:
            return []
        output = self.model.get_image_features(**self.image_inputs(prompt), return_dict=True)
        if has_tiles(self.spec) and "picture_sizes" not in self.spec:  # of each tile
            features = torch.cat(list(output.pooler_output)).flatten(0, -2)
            of_images = features.split([rows * cols for _, _, rows, cols in prompt.spans])
        else:
            of_images = output.pooler_output
        added = getattr(output, "deepstack_features", [])  # of each of D layers, those of each image
        return [torch.stack(of_image).numpy() for of_image in zip(of_images, *added, strict=True)]

    @torch.no_grad()
    def transformers_output(self, prompt: Prompt, tokens: list[int], noisy: Callable | None = None) -> ModelOutput:
        input_ids = torch.tensor([prompt.input_ids + tokens])
        inputs = self.image_inputs(prompt, noisy)
        if "image_grid_thw" in inputs:
            inputs["mm_token_type_ids"] = torch.zeros_like(input_ids)
            for begin, end, *_ in prompt.spans:
                inputs["mm_token_type_ids"][0, begin:end] = 1
        return self.model(input_ids=input_ids, use_cache=False, output_hidden_states=True, **inputs)

    def model_golden(self, prompt: Prompt) -> Golden:
        """What transformers says, greedily."""
        tokens, step_logits = [], []
        for _ in range(MODEL_TOKENS):
            output = self.transformers_output(prompt, tokens)
            step_logits.append(output.logits[0, -1].numpy())
            tokens.append(int(step_logits[-1].argmax()))
        self.check_reference(prompt, tokens[:-1], output)
        second, best = np.sort(step_logits, axis=-1)[:, -2:].T
        greedy_gap = float((best - second).min())
        tensors = {
            "input_ids": np.array(prompt.input_ids),
            "spans": np.array(prompt.spans),
            "image_features": self.stacked(self.image_features(prompt)),
            "prompt_logits": output.logits[0, : len(prompt.input_ids)].numpy(),
            "tokens": np.array(tokens),
            "step_logits": np.stack(step_logits),
        }
        return Golden(prompt, {"greedy_gap": greedy_gap}, tensors, greedy_gap >= MIN_GREEDY_GAP)

    @staticmethod
    def stacked(features: list[np.ndarray]) -> np.ndarray:
        """[n, P, C], or [sum of P, C] where images differ in size, or [1 + D, sum of P, C]"""
        if len(features[0]) > 1:
            return np.concatenate(features, axis=1)
        same = len({of_image.shape for of_image in features}) == 1
        return np.concatenate(features) if same else np.concatenate(features, axis=1)[0]

    def check_reference(self, prompt: Prompt, tokens: list[int], output: ModelOutput) -> None:
        """Without VAR the reference is the model, as far as float32 goes."""
        embeddings = self.decoder.embed(prompt, self.image_features(prompt), tokens)
        evidence = self.decoder.forward(embeddings, prompt, OFF)
        np.testing.assert_allclose(evidence.logits, output.logits[0].numpy(), rtol=0, atol=3e-5)
        for layer, hidden_states in enumerate(output.hidden_states[:-1]):
            x = hidden_states[0].numpy()
            if 0 < layer < len(embeddings):  # recorded before the addition
                x = x + embeddings[layer]
            phi = self.decoder.phi(x, OFF)
            np.testing.assert_allclose(evidence.phi[layer], phi, rtol=0, atol=1e-5)

    def var_golden(self, case: Case, prompt: Prompt) -> Golden:
        """What the reference says, greedily."""
        settings = case.var_settings(self.spec)
        generation = generate(self.decoder, prompt, self.image_features(prompt), settings, VAR_TOKENS)
        evidence = generation.evidence
        facts = {
            "name": case.name,
            "input_ids": prompt.input_ids,
            "spans": prompt.spans,
            "settings": asdict(settings),
            "gap": float(evidence.gap),
            "greedy_gap": generation.greedy_gap,
        }
        tensors = {
            "suffix_logits": evidence.logits[prompt.prefix_size() : len(prompt.input_ids)].astype(np.float32),
            "tokens": np.array(generation.tokens),
            "step_logits": generation.step_logits.astype(np.float32),
            **report_tensors(prompt, settings, evidence, self.decoder.config.num_attention_heads, case.maps),
        }
        serves = (
            evidence.gap >= MIN_GAP
            and generation.greedy_gap >= MIN_GREEDY_GAP
            and all(condition(prompt, settings, generation) for condition in case.shows)
        )
        return Golden(prompt, facts, {f"{case.name}/{name}": t for name, t in tensors.items()}, serves)

    def intervention_golden(self, case: intervention_cases.Case, prompt: Prompt) -> Golden:
        """What the reference of PAI, VAF and SPIN says, greedily."""
        method = case.method
        decoder = ChangedDecoder(self.model, self.spec["profile"]["sink_dimensions"])
        generation = generate(decoder, prompt, self.image_features(prompt), method, MODEL_TOKENS)
        rows, num_layers = sorted({row for row, _ in generation.evidence.shares}), decoder.config.num_hidden_layers
        shares = np.zeros((len(rows), num_layers, 3), np.float32)
        for (row, layer), values in generation.evidence.shares.items():
            shares[rows.index(row), layer] = values
        facts = {
            "name": case.name,
            "input_ids": prompt.input_ids,
            "spans": prompt.spans,
            "method": type(method).__name__.lower(),
            "settings": asdict(method),
            "gap": min(float(generation.evidence.gap), MAX_GAP),
            "greedy_gap": generation.greedy_gap,
        }
        tensors = {
            "tokens": np.array(generation.tokens),
            "step_logits": generation.step_logits.astype(np.float32),
            "shares": shares,
        }
        serves = generation.evidence.gap >= MIN_GAP and generation.greedy_gap >= MIN_GREEDY_GAP
        return Golden(prompt, facts, {f"{case.name}/{name}": t for name, t in tensors.items()}, serves)

    def contrast_golden(self, case: contrast_cases.Case, prompt: Prompt) -> Golden:
        """What the reference of contrast decoding says, greedily."""
        facts, tensors = contrast_reference.decode(self, case.name, case.method, prompt, MODEL_TOKENS)
        clear = min(facts["gap"], facts["greedy_gap"]) >= MIN_GREEDY_GAP
        return Golden(prompt, facts, tensors, clear and len(set(tensors[f"{case.name}/tokens"])) > 2)

    def first_that_serves(self, layout: Layout, make_golden: Callable[[Prompt], Golden]) -> Golden:
        goldens = (make_golden(make_prompt(layout, self.spec, seed)) for seed in range(MAX_SEEDS))
        return next(golden for golden in goldens if golden.serves)


def case_sets(tiny: TinyModel, name: str) -> Iterator[tuple[str, list, Callable]]:
    """Of each kind: the ending of its files, the model's cases, and what makes their golden values."""
    yield "var", [case for case in CASES if case.model == name], tiny.var_golden
    cases = [case for case in intervention_cases.CASES if case.model == name]
    if cases:
        yield "interventions", cases, tiny.intervention_golden
    contrasts = [case for case in contrast_cases.CASES if case.model == name]
    if contrasts:
        yield "contrasts", contrasts, tiny.contrast_golden


def write(name: str) -> None:
    (MODELS / f"{name}.json").write_text(model_specs.to_json(model_specs.specs()[name]))
    tiny = TinyModel(name)

    golden = tiny.first_that_serves(MODEL_LAYOUTS[name], tiny.model_golden)
    metadata = {key: str(value) for key, value in golden.facts.items()}
    save_file(golden.tensors, DATA / f"{name}.safetensors", metadata)

    for kind, cases, make_golden in case_sets(tiny, name):
        facts, tensors = [], {}
        for case in cases:
            golden = tiny.first_that_serves(
                case.layout, lambda prompt, case=case, make_golden=make_golden: make_golden(case, prompt)
            )
            facts.append(golden.facts)
            tensors.update(golden.tensors)
        save_file(tensors, DATA / f"{name}.{kind}.safetensors")
        lines = ",\n".join("  " + json.dumps(entry, allow_nan=False) for entry in facts)
        (DATA / f"{name}.{kind}.json").write_text(f"[\n{lines}\n]\n")


def check(name: str) -> None:
    if (MODELS / f"{name}.json").read_text() != model_specs.to_json(model_specs.specs()[name]):
        raise AssertionError(f"{name}: the stored spec is not what model_specs.py makes")
    tiny = TinyModel(name)

    stored = load_file(DATA / f"{name}.safetensors")
    with safe_open(DATA / f"{name}.safetensors", "np") as f:
        stored_facts = {key: float(value) for key, value in f.metadata().items()}
    golden = tiny.model_golden(prompt_of(tiny.spec, stored["input_ids"].tolist(), stored["spans"].tolist()))
    compare(name, golden, stored_facts, stored)

    for kind, cases, make_golden in case_sets(tiny, name):
        stored = load_file(DATA / f"{name}.{kind}.safetensors")
        stored_facts = json.loads((DATA / f"{name}.{kind}.json").read_text())
        for case, facts in zip(cases, stored_facts, strict=True):
            of_case = {key: tensor for key, tensor in stored.items() if key.startswith(f"{case.name}/")}
            prompt = prompt_of(tiny.spec, facts["input_ids"], facts["spans"])
            compare(case.name, make_golden(case, prompt), facts, of_case)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where something differs")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(MODEL_LAYOUTS)}; default: all")
    arguments = parser.parse_args()
    run = check if arguments.check else write
    for model_name in arguments.models or MODEL_LAYOUTS:
        run(model_name)
        print(f"{model_name}: {'as stored' if run is check else 'written'}")
