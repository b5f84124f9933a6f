"""What transformers' image processors make of pictures in tiles: GotOcr2's, as InternVL's processor asks for it,
LlavaNext's and Idefics3's."""

import numpy as np
import torch
import transformers
from PIL import Image
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

CONFIGS = (
    {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 448, "width": 448},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 24, "width": 32},
        "min_patches": 2,
        "max_patches": 7,
        "resample": 2,
    },
    {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 336},
        "crop_size": {"height": 336, "width": 336},
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    },
    {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 24},
        "crop_size": {"height": 24, "width": 24},
        "image_grid_pinpoints": [[24, 24], [48, 48], [24, 96], [72, 24], [72, 96]],
        "resample": 2,
    },
    {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "size": {"height": 40, "width": 40},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
        "image_grid_pinpoints": [[40, 40], [40, 120], [120, 40], [120, 120]],
    },
)
IDEFICS3 = (
    {  # of SmolVLM-2.2B, for half as many tiles
        "image_processor_type": "Idefics3ImageProcessor",
        "size": {"longest_edge": 768},
        "max_image_size": {"longest_edge": 384},
    },
    {  # two sizes that fit badly
        "image_processor_type": "SmolVLMImageProcessor",
        "size": {"longest_edge": 109},
        "max_image_size": {"longest_edge": 36},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    },
    {
        "image_processor_type": "Idefics3ImageProcessor",
        "size": {"longest_edge": 100},
        "max_image_size": {"longest_edge": 50},
        "do_image_splitting": False,
        "resample": 3,
    },
)
MORE_FILES = ["exif5.jpg", "exif8.webp", "31x33.png", "1x10000.png", "grey16.png", "rgba.png"]


def pixels_of_several(config: dict, image: Image.Image) -> np.ndarray:
    """[3, height, width]: what LLaVA-OneVision makes of one picture of several."""
    processor = transformers.LlavaOnevisionImageProcessor.from_dict(config)
    return processor([[image, image]], return_tensors="np")["pixel_values"][0][0]


def pixels_of(config: dict, image: Image.Image) -> np.ndarray:
    """[3, tiles * height, width]: the tiles one below the other."""
    processor = getattr(transformers, config["image_processor_type"]).from_dict(config)
    if "image_grid_pinpoints" in config or "max_image_size" in config:
        tiles = processor(image, return_tensors="np")["pixel_values"][0]
    else:
        tiles = processor(image, crop_to_patches=True, return_tensors="np")["pixel_values"]
    return tiles.transpose(1, 0, 2, 3).reshape(3, -1, tiles.shape[3])


def resolutions() -> list[str]:
    """Those of LLaVA-NeXT that transformers chooses for pictures of many sizes, and how many tokens these have."""
    config = CONFIGS[2]
    image_processor = transformers.LlavaNextImageProcessor.from_dict(config)
    processor = transformers.LlavaNextProcessor.__new__(transformers.LlavaNextProcessor)
    processor.image_processor, processor.patch_size, processor.num_additional_image_tokens = image_processor, 14, 0
    found = []
    for width, height in picture_sizes():
        down, across = select_best_resolution((height, width), config["image_grid_pinpoints"])
        tokens = processor._get_number_of_features(height, width, 336, 336)
        found.append(f"{width}x{height}: {across // 336}x{down // 336}, {tokens} tokens")
    return found


def splits() -> list[str]:
    """Into how many tiles of 512 pixels Idefics3's processor splits pictures of many sizes."""
    processor = transformers.Idefics3ImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    found = []
    for width, height in picture_sizes():
        picture = torch.zeros(3, height, width, dtype=torch.uint8)
        output = processor(picture, return_row_col_info=True, return_tensors="pt")
        found.append(f"{width}x{height}: {output['cols'][0][0]}x{output['rows'][0][0]}")
    return found


def picture_sizes() -> list[tuple[int, int]]:
    """Width and height of pictures, ties of arrangements among them."""
    random = np.random.default_rng(7)
    sizes = [tuple(side) for side in np.exp(random.uniform(0, 9, (40, 2))).astype(int).tolist()]
    sizes += [(1, 1), (448, 448), (633, 633), (634, 634), (1000, 1000), (3000, 3000), (300, 200), (900, 600)]
    sizes += [(1096, 548), (448, 896), (100, 1200), (1300, 100), (2000, 1500), (1500, 2000), (5, 4), (7, 5)]
    return sizes


def arrangements() -> list[str]:
    """Those of InternVL closest to pictures of many sizes."""
    found = []
    for width, height in picture_sizes():
        for tile_width, tile_height, least, most in ((448, 448, 1, 12), (32, 24, 2, 9)):
            across, down = get_optimal_tiled_canvas((height, width), (tile_height, tile_width), least, most)
            found.append(f"{width}x{height} in {least}-{most} of {tile_width}x{tile_height}: {across}x{down}")
    return found
