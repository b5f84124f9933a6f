"""Writes variants.json: the variants of variants.py with what transformers does with each.

usage: python tests/models/make_variants.py [--anew] [--only TEXT]     (transformers 5.23; see README.md)

Asks transformers about variants that are new or changed, with --anew about all. With --only it asks about those whose
name contains TEXT, prints the answers, and writes nothing.
"""

import argparse
import json
import pathlib
import tempfile

import torch
import transformers

from ask_transformers import CONVERSATION, PICTURES, answer
from directories import base_files, write_directory
from tiny_model import load_spec
from variant_parts import FIFTH, THIRD
from variants import variants

OUT = pathlib.Path(__file__).parent / "variants.json"
REPOSITORY = pathlib.Path(__file__).parents[2]
MIN_GAP = 1e-3  # of logits: smaller ones another processor may round the other way
MAX_REASON = 120


def ask(variant: dict) -> dict:
    """What transformers does with it: {"tokens", "logprobs"} or {"refused": why}."""
    with tempfile.TemporaryDirectory() as root:
        directory = pathlib.Path(root) / "snapshots" / "main"
        directory.mkdir(parents=True)
        write_directory(directory, variant)
        try:
            result = answer(directory, variant.get("conversation", CONVERSATION))
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}".replace(str(directory), "DIR")
            return {"refused": reason[:MAX_REASON]}
    if result["gap"] < MIN_GAP and "says" not in variant:
        raise ValueError(f"{variant['name']}: the best tokens are too close, {result['gap']}")
    return {key: result[key] for key in ("tokens", "logprobs")}


def check(results: dict[str, dict]) -> None:
    """The variants show what they have to show."""
    tokens = results["base"]["tokens"]
    if (tokens[2], tokens[4]) != (THIRD, FIFTH):
        raise ValueError(f"the base generates {tokens}: change THIRD and FIFTH in variant_parts.py")


def outcome(variant: dict, result: dict, results: dict[str, dict]) -> str:
    """In words; raises where the server is to serve what transformers refuses."""
    if "says" in variant:
        result.pop("logprobs", None)
        return "both refuse" if "refused" in result else "server refuses"
    if "instead" in variant:
        if "refused" not in result:
            raise ValueError(f"{variant['name']}: transformers serves it, so there is nothing to do instead")
        result |= {key: results[variant["instead"]][key] for key in ("tokens", "logprobs")}
        return "server serves"
    if "refused" in result:
        raise ValueError(f"{variant['name']}: transformers refuses it: {result['refused']}")
    return "agree"


def question(entry: dict, head: dict) -> dict:
    """What transformers' answer depends on."""
    asked = {key: entry.get(key) for key in ("spec", "files", "weights", "hub_cache", "conversation")}
    return head | asked | {"base": head["files"].get(entry["spec"])}


def known_answers() -> dict[str, tuple[dict, dict]]:
    """{name: (question, answer)} of the stored variants."""
    if not OUT.exists():
        return {}
    stored = json.loads(OUT.read_text())
    head = {key: value for key, value in stored.items() if key != "variants"}
    answers = {}
    for entry in stored["variants"]:
        answer = {key: entry[key] for key in ("refused", "tokens", "logprobs") if key in entry}
        if entry["outcome"] == "server serves":  # the tokens are another variant's
            answer = {"refused": answer["refused"]}
        answers[entry["name"]] = (question(entry, head), answer)
    return answers


def find_answers(chosen: list[dict], head: dict, known: dict[str, tuple[dict, dict]]) -> dict[str, dict]:
    """{name: what transformers does}"""
    results = {}
    for variant in chosen:
        asked, answer = known.get(variant["name"], (None, {}))
        is_known = asked == question(variant, head) and (
            "refused" in answer or "logprobs" in answer or "says" in variant
        )
        results[variant["name"]] = answer if is_known else ask(variant)
        if not is_known:
            print(f"{variant['name']:60} {results[variant['name']]}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", action="store_true", help="ask about all variants")
    parser.add_argument("--only", help="part of the names of the variants to ask about")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    specs = sorted({variant["spec"] for variant in variants()})
    head = {
        "transformers": transformers.__version__,
        "pictures": str(PICTURES.relative_to(REPOSITORY)),
        "conversation": CONVERSATION,
        "files": {spec: {k: v for k, v in base_files(load_spec(spec)).items() if k != "config.json"} for spec in specs},
    }
    if arguments.only:
        find_answers([variant for variant in variants() if arguments.only in variant["name"]], head, {})
        return

    results = find_answers(variants(), head, {} if arguments.anew else known_answers())
    check(results)
    lines = []
    for variant in variants():
        result = results[variant["name"]]
        entry = {**variant, "outcome": outcome(variant, result, results), **result}
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1]
    OUT.write_text(text + ',"variants":[\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
