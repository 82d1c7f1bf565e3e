"""Bytes to pictures: every file becomes an 8-bit RGB picture, upright, on white, or an error that says why not."""

import hashlib
import io
import stat
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vestige.data.quiet import quiet_pillow
from vestige.samples import Media

# Above what cameras make (100 megapixels), below what exhausts memory (RGB of this is 0.45 GB) and below Pillow's
# own limit, so that this one, which is stated in the message, is the one that holds.
LARGEST_PICTURE = 150_000_000

# What Pillow decodes by itself. Not EPS, for which it starts Ghostscript, nor formats it only recognises.
_PILLOW_FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD", "QOI"),
    *("SGI", "TGA", "TIFF", "WEBP"),
)


class UnreadableMedia(Exception):
    """A medium that cannot be decoded; the message is the reason, fit for a table of skipped samples."""


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats of pictures, as Pillow names them, that are decoded; AVIF needs Pillow 11.3."""
    Image.init()
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks."""
    return " ".join(str(error).split())


def regular_file(path: Path) -> None:
    """Refuse what is not a file; reading a pipe or a device might never end.

    Raises:
        UnreadableMedia: missing, a folder, a pipe, a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UnreadableMedia(f"{getattr(error, 'strerror', None) or error}: {path}") from error
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnreadableMedia(f"{kind}, not a file: {path}")
    if not path.stat().st_size:
        raise UnreadableMedia("the file is empty (0 bytes)")


def read_bytes(media: Path | bytes) -> bytes:
    """The encoded bytes.

    Raises:
        UnreadableMedia: the file is missing, empty, not a file, or cannot be read.
    """
    if isinstance(media, bytes):
        data = media
    else:
        regular_file(media)
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


def content_of(media: Media) -> str:
    """What a medium is told apart by: a hash of its bytes, or of the pixels of a picture already decoded.

    Raises:
        UnreadableMedia: as `read_bytes`.
    """
    if isinstance(media, Image.Image):
        return content_hash(f"{media.mode} {media.size}".encode() + media.tobytes())
    if isinstance(media, bytes):
        return content_hash(read_bytes(media))
    regular_file(media)
    try:
        # In pieces: a film may be larger than the memory.
        with media.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise UnreadableMedia(f"{error.strerror or error}: {media}") from error


class SizedPicture(NamedTuple):
    """A picture, perhaps decoded smaller than it is, and (width, height) of the whole of it, upright."""

    picture: Image.Image
    size: tuple[int, int]


def decode_picture(media: Media, at_least: int | None = None) -> Image.Image:
    """An upright RGB picture; transparency is laid on white, 16-bit grey scaled to 8, animations give frame one.

    Files are told by their bytes, whatever their names end in. Colour profiles are not applied, as where CLIP models
    are trained.

    Args:
        media: a picture.
        at_least: smallest side that is needed. A JPEG may then be decoded at a half, a quarter or an eighth of its
            size, as long as both sides remain this long, which takes a fraction of the time.

    Raises:
        UnreadableMedia: not a picture, truncated, too large (more than `LARGEST_PICTURE` pixels), or missing.
    """
    return decode_sized(media, at_least).picture


def decode_sized(media: Media, at_least: int | None = None) -> SizedPicture:
    """As `decode_picture`, with the size that the picture has when it is decoded whole."""
    if isinstance(media, Image.Image):
        picture = upright_rgb(ImageOps.exif_transpose(media))
        return SizedPicture(picture, picture.size)
    data = read_bytes(media)
    try:
        with quiet_pillow(), Image.open(io.BytesIO(data), formats=picture_formats()) as picture:
            return _decoded(picture, at_least)
    except UnreadableMedia:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableMedia(f"not a readable picture: {_what_it_is(data)}{_place(media)}") from error
    # Decoders of damaged files raise whatever their parser stumbles on (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        reason = f"not a readable picture: {type(error).__name__}: {one_line(error)}{_place(media)}"
        raise UnreadableMedia(reason) from error


def _decoded(picture: Image.Image, at_least: int | None) -> SizedPicture:
    width, height = picture.size
    if width * height > LARGEST_PICTURE:
        raise UnreadableMedia(f"{width}x{height} pixels are more than {LARGEST_PICTURE:,}")
    if at_least is not None:
        picture.draft(None, (at_least, at_least))
    reduced = picture.size != (width, height)
    result = upright_rgb(ImageOps.exif_transpose(picture))
    if not reduced:
        return SizedPicture(result, result.size)
    turned = (result.width > result.height) != (width > height) and width != height
    return SizedPicture(result, (height, width) if turned else (width, height))


def _place(media: Path | bytes) -> str:
    return f" ({media.name})" if isinstance(media, Path) else ""


def _what_it_is(data: bytes) -> str:
    """What is often found where a picture should be."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head or data[:2] == b"\x1f\x8b":
        return "an SVG drawing or a compressed file: convert it to PNG"
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, as servers send in place of pictures that are gone"
    if head.startswith((b"%!ps", b"%pdf")):
        return "a PostScript or PDF document: convert it to PNG"
    return "its bytes are of no known format"


def upright_rgb(picture: Image.Image) -> Image.Image:
    """RGB, on white; the picture is upright already."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture.copy()
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey_to_rgb(picture)
    if "A" in picture.getbands() or "transparency" in picture.info or picture.mode == "P":
        rgba = picture.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return picture.convert("RGB")


def _grey_to_rgb(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey: Pillow's own conversion clips at 255 instead of scaling.

    16 bits are scaled by 65535; of 32 bits and floats, what is above 255 is taken for 16 bits, or scaled by its peak.
    """
    grey = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(grey).all():
        raise UnreadableMedia("the picture holds values that are not finite")
    sixteen = picture.mode.startswith("I;16") or (255 < grey.max() <= 65535 and grey.min() >= 0)
    top = 65535.0 if sixteen else max(float(grey.max()), 255.0)
    low = min(float(grey.min()), 0.0)
    eight_bit = np.rint((grey - low) / (top - low) * 255)
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        eight_bit[grey == clear] = 255
    return Image.fromarray(eight_bit.astype(np.uint8)).convert("RGB")
