"""Pictures and films as small pictures of our own making: pixels, and no byte of the file they come from."""

import io
import math
from collections.abc import Sequence

from PIL import Image

SIDES = ((600, 256), (2000, 192))
SMALLEST_SIDE = 128
QUALITY = 80
FRAMES = 6
COLUMNS = 3
GAP = 2


def side_for(count: int) -> int:
    """Longest side of each of this many pictures: many are shown smaller, so that the page stays light."""
    return next((side for most, side in SIDES if count <= most), SMALLEST_SIDE)


def thumbnail(picture: Image.Image, side: int) -> tuple[bytes, int, int]:
    """A WebP of these pixels at most this long, without any metadata, and its width and height."""
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    bare = Image.new("RGB", small.size)
    bare.paste(small)
    encoded = io.BytesIO()
    bare.save(encoded, "WEBP", quality=QUALITY)
    return encoded.getvalue(), *bare.size


def contact_sheet(frames: Sequence[Image.Image], side: int) -> Image.Image:
    """Frames beside one another, row by row, each as large as the first one is when the sheet is `side` wide."""
    columns = min(COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    width = max((side - GAP * (columns - 1)) // columns, 1)
    height = max(round(frames[0].height * width / frames[0].width), 1)
    sheet = Image.new("RGB", (columns * width + GAP * (columns - 1), rows * height + GAP * (rows - 1)), (128, 128, 128))
    for place, frame in enumerate(frames):
        small = frame.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % columns * (width + GAP), place // columns * (height + GAP)))
    return sheet
