"""Bytes to pictures: every file becomes an 8-bit RGB picture, upright, on white, or an error that says why not."""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vestige.samples import Media

# Above what cameras make (100 megapixels), below what exhausts memory (RGB of this is 0.45 GB) and below Pillow's
# own limit, so that this one, which is stated in the message, is the one that holds.
LARGEST_PICTURE = 150_000_000


class UnreadableMedia(Exception):
    """A medium that cannot be decoded; the message is the reason, fit for a table of skipped samples."""


def read_bytes(media: Path | bytes) -> bytes:
    """The encoded bytes.

    Raises:
        UnreadableMedia: the file is missing, empty or cannot be read.
    """
    if isinstance(media, bytes):
        data = media
    else:
        try:
            data = media.read_bytes()
        except OSError as error:
            raise UnreadableMedia(f"{error.strerror or error}: {media}") from error
    if not data:
        raise UnreadableMedia("the file is empty (0 bytes)")
    return data


def content_hash(data: bytes) -> str:
    """Hash of the encoded bytes: equal for byte-identical files."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def encoded(media: Media) -> bytes:
    """The bytes a medium is told apart by: those of its file, or the pixels of a picture already decoded.

    Raises:
        UnreadableMedia: as `read_bytes`.
    """
    if isinstance(media, Image.Image):
        return f"{media.mode} {media.size}".encode() + media.tobytes()
    return read_bytes(media)


def decode_picture(media: Media) -> Image.Image:
    """An upright RGB picture; transparency is laid on white, 16-bit grey scaled to 8, animations give frame one.

    Raises:
        UnreadableMedia: not a picture, truncated, too large (more than `LARGEST_PICTURE` pixels), or missing.
    """
    if isinstance(media, Image.Image):
        return _rgb(ImageOps.exif_transpose(media))
    data = read_bytes(media)
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures before our own limit and of harmless oddities in metadata.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                width, height = picture.size
                if width * height > LARGEST_PICTURE:
                    raise UnreadableMedia(f"{width}x{height} pixels are more than {LARGEST_PICTURE:,}")
                return _rgb(ImageOps.exif_transpose(picture))
    except UnreadableMedia:
        raise
    # Decoders of damaged files raise whatever their parser stumbles on (OSError, SyntaxError, struct.error, ...).
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, TypeError, EOFError, MemoryError) as error:
        raise UnreadableMedia(f"not a readable picture: {type(error).__name__}: {_name(media, error)}") from error
    except Image.DecompressionBombError as error:
        raise UnreadableMedia(str(error)) from error


def _name(media: Path | bytes, error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{text} ({media.name})" if isinstance(media, Path) else text


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture.copy()
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey_to_rgb(picture)
    if "A" in picture.getbands() or "transparency" in picture.info or picture.mode == "P":
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _grey_to_rgb(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey: Pillow's own conversion clips at 255 instead of scaling."""
    grey = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(grey).all():
        raise UnreadableMedia("the picture holds values that are not finite")
    top = 65535.0 if grey.max() > 255 and grey.max() <= 65535 and grey.min() >= 0 else max(float(grey.max()), 255.0)
    low = min(float(grey.min()), 0.0)
    eight_bit = np.rint((grey - low) / (top - low) * 255).astype(np.uint8)
    return Image.fromarray(eight_bit).convert("RGB")
