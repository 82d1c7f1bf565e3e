"""Media as an encoder of any library sees them: decoded, and under a view cut as all views here are.

For encoders that prepare pictures, waveforms and frames themselves; those on canvases go through
`vestige.data.examples.cut_views`, which draws the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vestige.data.canvases import TIME_MARGIN
from vestige.data.media import decode_picture
from vestige.data.media_views import frame_choice, sound_windows
from vestige.data.views import View, key_hashes, random_box
from vestige.samples import Media


def picture(medium: Media, key: str, view: View | None) -> Image.Image:
    """The picture; under a view a crop of it, with the pixels it has."""
    found = decode_picture(medium)
    return found if view is None else found.crop(random_box(view, key, *found.size))


def waveform(medium: Media, rate: int) -> NDArray[np.float32]:
    """The sound as `vestige.data.sound.decode_sound` gives it."""
    from vestige.data.sound import decode_sound

    return decode_sound(medium, rate)


def window(sound: NDArray[np.float32], key: str, view: View | None, samples: int) -> NDArray[np.float32]:
    """At most so many samples of a waveform: its middle, or under a view a window at random, louder or softer.

    What is shorter stays as it is; under a view silence comes before it, so that it begins later.
    """
    (start,), (gain,) = sound_windows(view, key_hashes([key]), np.array([len(sound)]), samples)
    if start >= 0:
        cut = sound[start : start + samples]
    else:
        cut = sound if view is None else np.concatenate([np.zeros(-start, np.float32), sound])
    return cut * np.float32(np.exp(gain / 2))


def frames(medium: Media, count: int) -> list[Image.Image]:
    """Evenly spaced frames of a film, more than are read, so that views choose among them."""
    from vestige.data.film import decode_frames

    return decode_frames(medium, TIME_MARGIN * count)


def chosen(kept: Sequence[Image.Image], key: str, view: View | None, count: int) -> list[Image.Image]:
    """The middle one of each of equal runs of frames; under a view one at random, and one crop for all."""
    found = [kept[place] for place in frame_choice(view, key_hashes([key]), len(kept), count)[0].tolist()]
    return found if view is None else [frame.crop(random_box(view, key, *frame.size)) for frame in found]
