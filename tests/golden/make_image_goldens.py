"""Writes the picture goldens: small files of every odd kind, and what transformers' image processors make of them.

usage: make_image_goldens.py OUT_DIR      (transformers 5.23, torchvision, Pillow; see tests/golden/README.md)

OUT_DIR/files/*       the pictures
OUT_DIR/expected.bin  8 bit pixels [height, width, 3] after resizing and cropping, one case after the other
OUT_DIR/cases.json    for each case the file, the processor's configuration and where its pixels stand
"""

import hashlib
import io
import json
import struct
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import transformers
from PIL import Image, ImageOps

import tile_goldens

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture with gradients, edges and some noise: [height, width, 3], 8 bit."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height, 2)
    rgb = np.stack([np.sin(7 * x + seed) * 0.5 + 0.5, np.cos(9 * y) * 0.5 + 0.5, x * y], axis=-1)
    for _ in range(6):
        center, radius = rng.random(2), 0.05 + 0.2 * rng.random()
        rgb[(x - center[0]) ** 2 + (y - center[1]) ** 2 < radius**2] = rng.random(3)
    return np.clip(rgb * 235 + rng.integers(0, 20, rgb.shape), 0, 255).astype(np.uint8)


def discs(width: int, height: int) -> np.ndarray:
    """A large picture that makes a small file: [height, width, 3], 8 bit."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.full((height, width, 3), 230, np.uint8)
    for i, color in enumerate([(200, 30, 40), (20, 90, 180), (60, 160, 70)]):
        rgb[(x - width * (i + 1) // 4) ** 2 + (y - height // 2) ** 2 < (height // 5) ** 2] = color
    return rgb


def png(
    pixels: np.ndarray,
    color_type: int,
    bit_depth: int,
    interlaced: bool = False,
    chunks: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of any kind (Pillow writes neither 16 bit color nor Adam7). pixels: [height, width, channels]."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def rows(part: np.ndarray) -> bytes:
        if part.shape[0] == 0 or part.shape[1] == 0:
            return b""
        packed = b""
        for row in part.reshape(part.shape[0], -1):
            if bit_depth == 16:
                data = row.astype(">u2").tobytes()
            elif bit_depth == 8:
                data = row.astype(np.uint8).tobytes()
            else:
                bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bit_depth :]
                data = np.packbits(bits.reshape(-1)).tobytes()
            packed += b"\0" + data
        return packed

    height, width = pixels.shape[:2]
    passes = [pixels[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7] if interlaced else [pixels]
    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, int(interlaced))
    data = b"".join(rows(part) for part in passes)
    body = chunk(b"IHDR", header) + b"".join(chunk(n, d) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def make_files() -> dict[str, bytes]:
    def rgb(*size: int) -> Image.Image:
        return Image.fromarray(picture(*size))

    def wide(a: np.ndarray) -> np.ndarray:
        return (a.astype(np.uint32) * 257 - a % 7).clip(0, 65535)

    alpha = picture(37, 53, 3)[:, :, :1]
    rgba = Image.fromarray(np.concatenate([picture(37, 53, 2), alpha], axis=-1))
    palette = picture(16, 1, 5)[0]
    indices = (picture(61, 45, 6)[:, :, :1] % 16).astype(np.uint8)
    colors = (b"PLTE", palette.tobytes())

    files = {
        "photo.jpg": encode(rgb(320, 213), "JPEG", quality=80),
        "progressive.jpg": encode(rgb(120, 161), "JPEG", quality=75, progressive=True),
        "grey.jpg": encode(rgb(101, 77).convert("L"), "JPEG", quality=80),
        "444.jpg": encode(rgb(47, 33), "JPEG", quality=90, subsampling=0),
        "422.jpg": encode(rgb(47, 33), "JPEG", quality=90, subsampling=1),
        "rgb.jpg": encode(rgb(47, 33), "JPEG", quality=90, keep_rgb=True),
        "cmyk.jpg": encode(rgb(64, 48).convert("CMYK"), "JPEG", quality=85),
        "tiny.jpg": encode(rgb(1, 1), "JPEG"),
        "1x1.png": encode(rgb(1, 1), "PNG"),
        "2x3.png": encode(rgb(2, 3), "PNG"),
        "1x500.png": encode(rgb(1, 500), "PNG"),
        "500x1.png": encode(rgb(500, 1), "PNG"),
        "3000x17.png": encode(rgb(3000, 17).quantize(64), "PNG", optimize=True),
        "17x3000.png": encode(rgb(17, 3000).quantize(64), "PNG", optimize=True),
        "1x10000.png": encode(rgb(1, 10000).quantize(16), "PNG", optimize=True),
        "28x28.png": encode(rgb(28, 28), "PNG"),
        "1000x40.png": encode(rgb(1000, 40).quantize(16), "PNG", optimize=True),
        "40x1000.png": encode(rgb(40, 1000).quantize(16), "PNG", optimize=True),
        "2000x1500.png": encode(Image.fromarray(discs(2000, 1500)).quantize(8), "PNG", optimize=True),
        "32x32.png": encode(rgb(32, 32), "PNG"),
        "31x33.png": encode(rgb(31, 33), "PNG"),
        "grey.png": encode(rgb(50, 41).convert("L"), "PNG"),
        "grey_alpha.png": encode(rgba.convert("LA"), "PNG"),
        "rgba.png": encode(rgba, "PNG"),
        "bits.png": encode(rgb(43, 29).convert("1"), "PNG"),
        "grey2.png": png(picture(43, 29)[:, :, :1] // 64, 0, 2),
        "grey4.png": png(picture(43, 29)[:, :, :1] // 16, 0, 4),
        "grey_key.png": png(picture(43, 29)[:, :, :1] // 16 * 16, 0, 8, chunks=[(b"tRNS", b"\0\x70")]),
        "grey16.png": png(wide(picture(43, 29)[:, :, :1]), 0, 16),
        "rgb16.png": png(wide(picture(43, 29)), 2, 16),
        "rgba16.png": png(wide(np.array(rgba)), 6, 16),
        "rgb_key.png": png(
            np.where(picture(43, 29) > 120, 200, 10), 2, 8, chunks=[(b"tRNS", struct.pack(">HHH", 200, 10, 10))]
        ),
        "palette.png": png(indices, 3, 4, chunks=[colors]),
        "palette_alpha.png": png(indices, 3, 8, chunks=[colors, (b"tRNS", bytes(range(0, 255, 23)))]),
        "interlaced.png": png(picture(43, 29), 2, 8, interlaced=True),
        "interlaced_palette.png": png(indices, 3, 4, interlaced=True, chunks=[colors]),
        "exif6.png": encode(rgb(50, 31), "PNG", exif=exif(6)),
        "lossy.webp": encode(rgb(93, 120), "WEBP", quality=70),
        "lossless.webp": encode(rgb(41, 30), "WEBP", lossless=True),
        "lossy_alpha.webp": encode(rgba, "WEBP", quality=70),
        "lossless_alpha.webp": encode(rgba, "WEBP", lossless=True),
        "animated.webp": encode(rgba, "WEBP", save_all=True, append_images=[rgba.rotate(90)], duration=50),
        "exif8.webp": encode(rgb(50, 31), "WEBP", quality=70, exif=exif(8)),
    }
    for orientation in range(2, 9):
        files[f"exif{orientation}.jpg"] = encode(rgb(40, 25), "JPEG", quality=85, exif=exif(orientation))
    return files


MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32},
    "do_convert_rgb": True,
    "do_rescale": True,
    "rescale_factor": 0.00392156862745098,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
}
# Every file goes through the first; some through all.
CONFIGS = {
    "clip": CLIP,
    "bilinear": {**CLIP, "image_processor_type": "BitImageProcessor", "resample": 2, "size": {"shortest_edge": 37}},
    "squash": {**CLIP, "size": {"height": 24, "width": 40}, "do_center_crop": False},
    "pad": {**CLIP, "image_processor_type": "LlavaImageProcessor", "do_pad": True},
    "crop_larger": {**CLIP, "size": {"shortest_edge": 19}, "crop_size": {"height": 31, "width": 28}},
    "crop_only": {**CLIP, "do_resize": False},
}
FOR_ALL_CONFIGS = ["photo.jpg", "1x1.png", "2x3.png", "3000x17.png", "17x3000.png", "31x33.png", "32x32.png"]


def open_picture(name: str, data: bytes) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode == "I;16":  # Pillow would clip at 255 what the server takes the upper 8 bits of
        image = Image.fromarray((np.array(image) >> 8).astype(np.uint8))
    return image


def process(config: dict, image: Image.Image, **changes: bool) -> np.ndarray:
    kind = getattr(transformers, config["image_processor_type"])
    return kind.from_dict({**config, **changes})(image, return_tensors="np")["pixel_values"][0]


QWEN2_VL = {"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 12845056}
QWEN2_VL_SMALL = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "size": {"shortest_edge": 50176, "longest_edge": 200704},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}
QWEN3_VL = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "size": {"longest_edge": 16777216, "shortest_edge": 65536},
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
QWEN2_VL_FILES = [
    "28x28.png",
    "1000x40.png",
    "40x1000.png",
    "2000x1500.png",
    "grey.png",
    "1x1.png",
    "3000x17.png",
    "17x3000.png",
    "exif6.png",
]


def qwen2_vl_pixels(config: dict, image: Image.Image) -> np.ndarray:
    """[3, height, width], put together from the processor's patches, of which only the first frame counts."""
    processor = transformers.Qwen2VLImageProcessor.from_dict(config)
    output = processor(image, return_tensors="np")
    _, rows, cols = output["image_grid_thw"][0]
    patch, merge = processor.patch_size, processor.merge_size
    patches = output["pixel_values"].reshape(rows // merge, cols // merge, merge, merge, 3, -1, patch, patch)
    return patches[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch, cols * patch)


def main() -> None:
    out = Path(sys.argv[1])
    (out / "files").mkdir(parents=True, exist_ok=True)
    files = make_files()
    cases, expected = [], b""
    for name, data in files.items():
        (out / "files" / name).write_bytes(data)
        image = open_picture(name, data)
        for config_name, config in CONFIGS.items():
            if config_name != "clip" and name not in FOR_ALL_CONFIGS:
                continue
            pixels = process(config, image, do_rescale=False, do_normalize=False).astype(np.uint8)
            cases.append({"file": name, "config": config_name, "height": pixels.shape[1], "width": pixels.shape[2]})
            cases[-1]["offset"] = len(expected)
            expected += pixels.transpose(1, 2, 0).tobytes()
    (out / "expected.bin").write_bytes(expected)

    # Once in full size, and once what normalizing makes of it: as hashes of the float pixels.
    full = {**CLIP, "size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    hashes = []
    for name, config in [("31x33.png", full), ("3000x17.png", full), ("31x33.png", CLIP)]:
        pixels = process(config, open_picture(name, files[name])).astype("<f4")
        hashes.append({"file": name, "config": config, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()})
    for config in (QWEN2_VL, QWEN2_VL_SMALL, QWEN3_VL):
        for name in QWEN2_VL_FILES:
            pixels = qwen2_vl_pixels(config, open_picture(name, files[name]).convert("RGB")).astype("<f4")
            hashes.append({"file": name, "config": config, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()})
            hashes[-1] |= {"height": pixels.shape[1], "width": pixels.shape[2]}
    for config in (*tile_goldens.CONFIGS, *tile_goldens.IDEFICS3):
        for name in [*QWEN2_VL_FILES, *tile_goldens.MORE_FILES]:
            pixels = tile_goldens.pixels_of(config, open_picture(name, files[name])).astype("<f4")
            hashes.append({"file": name, "config": config, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()})
            hashes[-1] |= {"height": pixels.shape[1], "width": pixels.shape[2]}
    for name in [*QWEN2_VL_FILES, *tile_goldens.MORE_FILES]:
        config = tile_goldens.CONFIGS[-1]
        pixels = tile_goldens.pixels_of_several(config, open_picture(name, files[name])).astype("<f4")
        hashes.append({"file": name, "config": config, "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()})
        hashes[-1] |= {"height": pixels.shape[1], "width": pixels.shape[2], "num_images": 2}
    goldens = {"configs": CONFIGS, "cases": cases, "hashes": hashes, "arrangements": tile_goldens.arrangements()}
    goldens["resolutions"] = tile_goldens.resolutions()
    goldens["splits"] = tile_goldens.splits()
    (out / "cases.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
