"""Drawings to pictures: SVG is rasterised by the library that also draws the charts of reports, once a drawing."""

import os
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile

from vestige.data.builtin.cache import cache_folder
from vestige.data.media import content_hash
from vestige.samples import Media

# A drawing may name pictures on this machine, which the rasteriser would open. Drawings come from others.
_FOREIGN = re.compile(rb"<(?:\w+:)?(?:image|feImage)\b[^>]*?href\s*=\s*[\"'](?!\s*(?:data:|#))", re.S | re.I)


def rasterised(path: Path, scale: float = 1.0) -> Media:
    """The drawing as a PNG, kept in the cache folder.

    Where it cannot be drawn it stays as it is: whoever decodes it lists it as unreadable.
    """
    import vl_convert

    try:
        drawing = path.read_bytes()
        if _FOREIGN.search(drawing):
            return path
        known = f"{version('vl-convert-python')} {scale}".encode()
        place = cache_folder() / "drawn" / f"{content_hash(known + drawing)}.png"
        if place.exists():
            return place
        picture = vl_convert.svg_to_png(drawing.decode("utf-8", "replace"), scale=scale)
    except (OSError, ValueError):
        return path
    return place if _kept(picture, place) else picture


def _kept(picture: bytes, place: Path) -> bool:
    """Whether the picture could be written; whole, since other processes may draw the same."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=place.parent, suffix=".partial", delete=False) as file:
            try:
                file.write(picture)
                file.flush()
                # A drawing that was lost in a power failure would look like an empty picture ever after.
                os.fsync(file.fileno())
                Path(file.name).replace(place)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return True
    return False
