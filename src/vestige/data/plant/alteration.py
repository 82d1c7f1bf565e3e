"""Pictures that are nearly another one: cropped or shifted a little, and compressed anew."""

import io
import json
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from vestige.data.media import UnreadableMedia, decode_picture
from vestige.samples import Media


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a picture is altered; everything but the quality in shares of its sides.

    Attributes:
        quality: of the JPEG.
        crop: what is cut from each side, so that (left, top) of it is cut on the left and at the top.
        left, top: see `crop`.
        right, down: how far the picture is moved; what comes in is white.
    """

    quality: int
    crop: float = 0.0
    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def random_alteration(draw: np.random.Generator) -> Alteration:
    """One of three, equally likely: cropped by 4 to 15%, shifted by 3 to 10%, or only compressed anew."""
    kind = int(draw.integers(3))
    quality = int(draw.integers(50, 91))
    a, b, c = (round(float(number), 4) for number in draw.uniform(size=3))
    if kind == 0:
        return Alteration(quality, crop=round(0.04 + 0.11 * a, 4), left=b, top=c)
    if kind == 1:
        far = round(0.03 + 0.07 * a, 4)
        return Alteration(quality, right=far if b < 0.5 else -far, down=far if c < 0.5 else -far)
    return Alteration(quality)


def altered(media: Media, alteration: Alteration) -> Media:
    """The altered picture as a JPEG; a picture that cannot be decoded comes back as it is, for the decoder to list."""
    try:
        picture = decode_picture(media)
    except UnreadableMedia:
        return media
    width, height = picture.size
    cut_x, cut_y = alteration.crop * width, alteration.crop * height
    left, top = round(cut_x * alteration.left), round(cut_y * alteration.top)
    picture = picture.crop(
        (left, top, max(left + round(width - cut_x), left + 1), max(top + round(height - cut_y), top + 1))
    )
    if alteration.right or alteration.down:
        moved = Image.new("RGB", picture.size, "white")
        moved.paste(picture, (round(alteration.right * width), round(alteration.down * height)))
        picture = moved
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=alteration.quality)
    return held.getvalue()
