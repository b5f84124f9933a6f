"""Pictures as Python programs have them, as the encoded files that the server takes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from varserve.errors import InvalidArgumentError

if TYPE_CHECKING:
    import PIL.Image

# A path; the bytes of a JPEG, PNG or WebP file; a picture of Pillow's; or an array of uint8: [H, W] gray, [H, W, 3]
# RGB, [H, W, 4] RGBA.
ImageLike: TypeAlias = Union[str, "os.PathLike[str]", bytes, "PIL.Image.Image", "np.ndarray[Any, np.dtype[np.uint8]]"]


def encode(image: ImageLike) -> bytes:
    """Files as they are; everything else as PNG, which loses nothing."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise InvalidArgumentError(f"image: {os.fspath(image)} cannot be read: {error.strerror}") from None
    if isinstance(image, np.ndarray):
        return _png(_from_array(image))
    if hasattr(image, "save") and hasattr(image, "mode"):
        return _png(image)
    raise TypeError(f"image: a path, bytes, a PIL image or a numpy array is needed, not {type(image).__name__}")


def media_type(image: bytes) -> str:
    """Of the three kinds that the server takes."""
    if image.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if image.startswith(b"RIFF") else "image/jpeg"


def _from_array(array: np.ndarray[Any, np.dtype[Any]]) -> PIL.Image.Image:
    if array.dtype != np.uint8:
        raise InvalidArgumentError(f"image: an array of uint8 is needed, values 0 to 255; this one has {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InvalidArgumentError(
            f"image: an array is [height, width], or with 3 or 4 channels [height, width, channels]; not {array.shape}"
        )
    try:
        import PIL.Image
    except ImportError:
        raise ImportError(
            "image: numpy arrays need Pillow: pip install './client/python[images]' in the clone"
        ) from None
    return PIL.Image.fromarray(np.ascontiguousarray(array))


def _png(picture: PIL.Image.Image) -> bytes:
    # What PNG cannot hold, such as CMYK and float.
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
