"""Augmented views, drawn by counters instead of a stateful generator.

A draw is a function of (seed, epoch, key) alone. So every model of a design draws the same view of a shared sample,
whatever else it was trained on, and a run that was killed draws what it would have drawn.

A view of a picture is a box: OpenCLIP trains on `RandomResizedCrop(scale=(0.9, 1.0))` and evaluates on the central
square. Cutting a box and resizing it is linear and separable, so a batch of views of a batch of equally large
canvases is two batched matrix products, whose weights are those of an antialiased bicubic filter; large canvases go
one by one through torch's filter of 8-bit pictures, which is the same.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vestige.ahead import handfuls
from vestige.data.pixels import packing

CROP_SCALE = (0.9, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10
# Side in pixels of the largest canvases that are resampled by dense products. In processor time these take half of what
# the other way takes at 48 (of a model that sees 32 pixels), as much between 72 and 96, four times as much at 168, more
# than five times at 336. At 96 they are still taken: they know fractions of pixels.
DENSE = 96


@dataclass(frozen=True, slots=True)
class View:
    """Names one draw of augmentations; the sample's key completes it."""

    seed: int
    epoch: int


def key_hashes(keys: Sequence[str]) -> NDArray[np.uint64]:
    """A stable 64-bit hash of every key, shape [N]."""
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def uniforms(view: View, hashes: NDArray[np.uint64], count: int, *, stream: str) -> NDArray[np.float64]:
    """`count` uniform numbers in [0, 1) for every sample, shape [N, count]; a function of its arguments alone.

    Args:
        view: seed and epoch.
        hashes: `key_hashes` of the samples, shape [N].
        count: numbers a sample.
        stream: what the numbers are for; different streams are independent.
    """
    label = hashlib.blake2b(f"{view.seed}/{view.epoch}/{stream}".encode(), digest_size=8).digest()
    state = hashes[:, None] ^ np.uint64(int.from_bytes(label, "little"))
    counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (_mixed(_mixed(state) + counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every input bit moves every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_crops(
    view: View, hashes: NDArray[np.uint64], sizes: NDArray[np.int64], scale: tuple[float, float] = CROP_SCALE
) -> NDArray[np.float64]:
    """Boxes of `RandomResizedCrop`, as torchvision draws them: ten tries of area and aspect ratio, else the centre.

    Args:
        view: seed and epoch.
        hashes: `key_hashes` of the samples, shape [N].
        sizes: (width, height) of the pictures in pixels, shape [N, 2].
        scale: least and largest share of the area.

    Returns:
        (left, top, right, bottom) in pixels of each picture, shape [N, 4].
    """
    draws = uniforms(view, hashes, 4 * CROP_TRIES, stream="crop").reshape(len(hashes), CROP_TRIES, 4)
    width, height = sizes[:, None, 0], sizes[:, None, 1]
    area = width * height * (scale[0] + (scale[1] - scale[0]) * draws[..., 0])
    low, high = np.log(CROP_RATIO)
    ratio = np.exp(low + (high - low) * draws[..., 1])
    w, h = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    left, top = np.floor(draws[..., 2] * (width - w + 1)), np.floor(draws[..., 3] * (height - h + 1))
    boxes = np.stack([left, top, left + w, top + h], axis=-1)
    first = boxes[np.arange(len(boxes)), fits.argmax(axis=1)]
    return np.where(fits.any(axis=1)[:, None], first, _bounded_centres(sizes))


def _bounded_centres(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest central box whose aspect ratio is within `CROP_RATIO`."""
    width, height = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    w = np.minimum(width, np.rint(height * CROP_RATIO[1]))
    h = np.minimum(height, np.rint(width / CROP_RATIO[0]))
    left, top = np.floor((width - w) / 2), np.floor((height - h) / 2)
    return np.stack([left, top, left + w, top + h], axis=-1)


def central_squares(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The central square of pictures of these sizes, as (left, top, right, bottom) in pixels, [N, 4].

    What OpenCLIP evaluates on: the shorter side resized to the model's, then the centre cut out.
    """
    short = sizes.min(axis=1, keepdims=True)
    corner = (sizes - short) / 2
    return np.concatenate([corner, corner + short], axis=1)


def resample(canvases: Sequence[NDArray[np.uint8]], boxes: Tensor, size: int) -> Tensor:
    """Cut boxes out of canvases [3, R, R] and resize them to squares; see `resample_small` and `resample_large`."""
    if canvases[0].shape[-1] > DENSE:
        return resample_large(canvases, boxes, size)
    return resample_small(torch.from_numpy(np.stack(canvases)), boxes, size)


def resample_small(canvases: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut boxes out of canvases and resize them to squares, antialiased bicubic.

    Args:
        canvases: uint8 [B, 3, R, R].
        boxes: (left, top, right, bottom) in pixels of the canvas, fractions allowed, float [B, 4].
        size: side of the result.

    Returns:
        float32 [B, 3, size, size] in [0, 1].
    """
    columns, rows = _side_weights(boxes, canvases.shape[3], size)
    pixels = canvases.to(torch.float32).flatten(1, 2)
    narrow = torch.bmm(pixels, columns.mT).unflatten(1, canvases.shape[1:3])
    square = torch.matmul(rows[:, None], narrow)
    return square.div_(255).clamp_(0, 1)


def _side_weights(boxes: Tensor, side: int, size: int) -> tuple[Tensor, Tensor]:
    """`filter_weights` across and down, [B, size, side] each; both at once takes little more than half as long."""
    # Pictures of one shape without a random crop have one box, and its weights are most of what their views cost.
    different = boxes[:1] if bool((boxes == boxes[:1]).all()) else boxes
    low, high = different[:, :2].mT.flatten(), different[:, 2:].mT.flatten()
    columns, rows = filter_weights(low, high, side, size).chunk(2)
    return columns.expand(len(boxes), -1, -1), rows.expand(len(boxes), -1, -1)


def resample_large(canvases: Sequence[NDArray[np.uint8]], boxes: Tensor, size: int) -> Tensor:
    """`resample` for large canvases: of boxes rounded to whole pixels, to within the rounding of 8-bit values.

    Of each canvas [3, R, R] the box alone is read, by the thread that resizes it.

    Products of dense matrices cost R^3 a picture, the bands of the filter R^2. `interpolate` has vector instructions
    for 8-bit pictures whose four channels lie together, so three planes become such a picture and its result planes
    again, in as many threads as there are processors.
    """
    pack, unpack = packing()
    height, width = canvases[0].shape[1:]
    # NumPy asks for large pages, torch does not: new memory of this size is mostly the time that its pages take.
    result = np.empty((len(canvases), 3, size, size), dtype=np.float32)
    corners = _whole(boxes, width, height).tolist()

    def cut(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            left, top, right, bottom = corners[row]
            fours = np.empty((bottom - top, right - left), dtype=np.uint32)
            pack(canvases[row][:, top:bottom, left:right], fours)
            # A batch of one before the channels come first: else torch does not see that they lie together.
            picture = torch.from_numpy(fours.view(np.uint8).reshape(1, *fours.shape, 4)).permute(0, 3, 1, 2)
            square = functional.interpolate(picture, (size, size), mode="bicubic", antialias=True)
            unpack(square.permute(0, 2, 3, 1)[0].numpy().view(np.uint32)[..., 0], result[row])

    list(_threads().map(cut, handfuls(len(corners))))
    return torch.from_numpy(result)


def _whole(boxes: Tensor, width: int, height: int) -> Tensor:
    """Boxes rounded to whole pixels, none of them empty, long [B, 4]."""
    corner = boxes[:, :2].round().clamp(max=boxes.new_tensor([width - 1, height - 1]))
    return torch.cat([corner, torch.maximum(boxes[:, 2:].round(), corner + 1)], dim=1).to(torch.int64)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "views")


def filter_weights(low: Tensor, high: Tensor, length: int, size: int) -> Tensor:
    """Weights with which `size` output pixels read `length` input pixels of the interval [low, high).

    Keys' cubic filter with a = -0.5, stretched by the scale when shrinking (as Pillow and torchvision do with
    antialiasing), normalised over the pixels inside the interval.

    Args:
        low, high: the interval, [B] each.
        length: pixels on the input side.
        size: pixels on the output side.

    Returns:
        float32 [B, size, length]; every row sums to 1.
    """
    low, high = low.to(torch.float32)[:, None], high.to(torch.float32)[:, None]
    scale = (high - low) / size
    stretch = scale.clamp(min=1.0)
    centres = low + (torch.arange(size) + 0.5) * scale
    taps = _taps(centres, stretch, length)
    pixels = taps + 0.5
    inside = (pixels > low.floor()[..., None]) & (pixels < high.ceil()[..., None])
    within = _cubic(pixels / stretch[..., None] - (centres / stretch)[..., None]).mul_(inside)
    weights = torch.zeros(len(low), size, length).scatter_(2, taps.to(torch.int64), within)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _taps(centres: Tensor, stretch: Tensor, length: int) -> Tensor:
    """The pixels that an output pixel can read, ascending, [B, size, T]: the others, far more, have no weight."""
    # A cubic reaches 2 to each side; one pixel more, for rounding.
    count = min(int(4 * stretch.max()) + 3, length)
    first = (centres - 2 * stretch - 0.5).floor_().clamp_(0, length - count)
    return first[..., None] + torch.arange(count, dtype=first.dtype)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic, its two pieces as one sum: t^2 (1 - 2t) + u^2 (u - 1) / 2 with t = (1 - |x|)+, u = (2 - |x|)+."""
    u = x.abs_().neg_().add_(2).relu_()
    t = (u - 1).relu_()
    return (t * t).mul_(t.mul(-2).add_(1)).add_((u * u).mul_(u.sub(1).mul_(0.5)))


def random_box(view: View, key: str, width: int, height: int) -> tuple[float, float, float, float]:
    """`random_crops` for one picture of `width` x `height` pixels."""
    left, top, right, bottom = random_crops(view, key_hashes([key]), np.array([[width, height]]))[0].tolist()
    return left, top, right, bottom


def canvas_side(image_size: int) -> int:
    """Side of the square canvas kept of every picture, for a model that sees `image_size` pixels.

    Half as large again: a crop of at least 0.9 of the area then shrinks, never enlarges, and the second resampling
    costs no visible sharpness.
    """
    return math.ceil(1.5 * image_size)


CAPTION_POLICIES = ("first", "random", "balanced")


def chosen_captions(
    policy: str, view: View, hashes: NDArray[np.uint64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which of its captions each sample shows, [N].

    Args:
        policy: `first`; `random`, drawn anew each epoch; `balanced`, each caption equally often over the epochs, in
            turn, from a random start.
        view: seed and epoch.
        hashes: `key_hashes` of the samples, [N].
        counts: captions of every sample, at least 1, [N].

    Raises:
        ValueError: an unknown policy.
    """
    if policy == "first":
        return np.zeros_like(counts)
    if policy == "random":
        return (uniforms(view, hashes, 1, stream="caption")[:, 0] * counts).astype(np.int64)
    if policy == "balanced":
        start = uniforms(View(view.seed, 0), hashes, 1, stream="caption")[:, 0] * counts
        return (start.astype(np.int64) + view.epoch) % counts
    raise ValueError(f"policy: one of {', '.join(CAPTION_POLICIES)}, found {policy!r}")
