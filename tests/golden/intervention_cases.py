"""The cases of PAI, VAF and SPIN: which prompt, which method. Two families of decoders at least for each."""

from dataclasses import dataclass

from intervention_reference import Pai, Spin, Vaf
from var_cases import ADJACENT_IMAGES, IMAGE_FIRST, ONE_IMAGE, SEPARATED_IMAGES, SEVERAL_TURNS, Layout


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    layout: Layout
    method: Pai | Vaf | Spin


CASES = (
    Case("pai", "clip_mha", ONE_IMAGE, Pai(0.5, 1, 3)),
    Case("vaf", "clip_mha", SEVERAL_TURNS, Vaf(1.5, 0.7, 0, 3)),
    Case("spin", "clip_mha", ONE_IMAGE, Spin(0.5, 0.1, 0, 3)),
    Case("pai_separated_images", "clip_gqa", SEPARATED_IMAGES, Pai(2.0, 0, 3)),
    Case("vaf_image_first", "clip_gqa", IMAGE_FIRST, Vaf(0.5, 2.0, 1, 2)),
    Case("spin_adjacent_images", "clip_gqa", ADJACENT_IMAGES, Spin(0.7, 0.0, 1, 2)),
    Case("pai_head_norms", "qwen3", ONE_IMAGE, Pai(0.2, 0, 2)),
    Case("vaf_head_norms", "qwen3", ONE_IMAGE, Vaf(1.15, 0.95, 0, 1)),
    Case("spin_head_norms", "qwen3", ONE_IMAGE, Spin(0.75, 0.08, 0, 2)),
    Case("pai_mrope", "qwen2_5_vl", SEPARATED_IMAGES, Pai(0.4, 0, 1)),
    Case("vaf_mrope", "qwen2_5_vl", SEVERAL_TURNS, Vaf(1.3, 0.8, 0, 1)),
    Case("spin_mrope", "qwen2_5_vl", SEPARATED_IMAGES, Spin(0.6, 0.2, 0, 1)),
)
