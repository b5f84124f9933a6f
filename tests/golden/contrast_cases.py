"""The cases of contrast decoding: which prompt, which method. A LLaVA and a Qwen2-VL for each."""

from dataclasses import dataclass

from contrast_reference import Contrast, Icd, M3id, PaiContrast, Vcd
from intervention_reference import Pai
from var_cases import ADJACENT_IMAGES, ONE_IMAGE, SEPARATED_IMAGES, Layout


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    layout: Layout
    method: Contrast


CASES = (
    Case("vcd", "clip_gqa", ONE_IMAGE, Vcd(1.0, 0.1, 500, 0)),
    Case("vcd_two_pictures", "clip_gqa", ADJACENT_IMAGES, Vcd(0.5, 0.02, 800, 7)),
    Case("icd", "clip_gqa", ONE_IMAGE, Icd(1.0, 0.1, (11, 54, 17, 90, 33))),
    Case("m3id", "clip_gqa", ONE_IMAGE, M3id(0.02, 0.9, 0.0)),
    Case("pai_gamma", "clip_gqa", ONE_IMAGE, PaiContrast(1.1, None)),
    Case("pai_attention_and_gamma", "clip_gqa", ONE_IMAGE, PaiContrast(1.5, Pai(0.5, 1, 3))),
    Case("vcd", "qwen2_vl", SEPARATED_IMAGES, Vcd(1.0, 0.1, 500, 3)),
    Case("icd", "qwen2_vl", SEPARATED_IMAGES, Icd(0.7, 0.05, (120, 4, 77))),
    Case("m3id", "qwen2_vl", ONE_IMAGE, M3id(0.03, 0.7, 0.05)),
    Case("pai_gamma", "qwen2_vl", ONE_IMAGE, PaiContrast(1.3, None)),
)
