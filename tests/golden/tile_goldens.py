"""What transformers' GotOcr2ImageProcessor makes of pictures, as InternVL's processor asks for it: tiles."""

import numpy as np
import transformers
from PIL import Image
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
)
MORE_FILES = ["exif5.jpg", "exif8.webp", "31x33.png", "1x10000.png", "grey16.png", "rgba.png"]


def pixels_of(config: dict, image: Image.Image) -> np.ndarray:
    """[3, tiles * height, width]: the tiles one below the other."""
    processor = transformers.GotOcr2ImageProcessor.from_dict(config)
    tiles = processor(image, crop_to_patches=True, return_tensors="np")["pixel_values"]
    return tiles.transpose(1, 0, 2, 3).reshape(3, -1, tiles.shape[3])


def arrangements() -> list[str]:
    """Those closest to pictures of many sizes, ties among them."""
    random = np.random.default_rng(7)
    sizes = [tuple(side) for side in np.exp(random.uniform(0, 9, (40, 2))).astype(int).tolist()]
    sizes += [(1, 1), (448, 448), (633, 633), (634, 634), (1000, 1000), (3000, 3000), (300, 200), (900, 600)]
    sizes += [(1096, 548), (448, 896), (100, 1200), (1300, 100), (2000, 1500), (1500, 2000), (5, 4), (7, 5)]
    found = []
    for width, height in sizes:
        for tile_width, tile_height, least, most in ((448, 448, 1, 12), (32, 24, 2, 9)):
            across, down = get_optimal_tiled_canvas((height, width), (tile_height, tile_width), least, most)
            found.append(f"{width}x{height} in {least}-{most} of {tile_width}x{tile_height}: {across}x{down}")
    return found
