"""Views: draws by (seed, epoch, key), crops as torchvision draws them, resampling as Pillow does it."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from vestige.data.examples import cut_views
from vestige.data.inputs import PictureInput
from vestige.data.views import (
    CROP_RATIO,
    CROP_SCALE,
    View,
    canvas_side,
    chosen_captions,
    filter_weights,
    key_hashes,
    random_box,
    random_crops,
    resample,
    resample_large,
    resample_small,
    uniforms,
)

KEYS = [f"key {number}" for number in range(4000)]
HASHES = key_hashes(KEYS)


def test_a_draw_depends_on_seed_epoch_key_and_stream_alone():
    whole = uniforms(View(3, 5), HASHES, 4, stream="crop")
    order = np.random.default_rng(0).permutation(len(KEYS))[:50]
    np.testing.assert_array_equal(uniforms(View(3, 5), HASHES[order], 4, stream="crop"), whole[order])
    for other in (View(4, 5), View(3, 6)):
        assert (uniforms(other, HASHES, 4, stream="crop") != whole).all()
    assert (uniforms(View(3, 5), HASHES, 4, stream="caption") != whole).all()
    # Pinned: a change of the draws changes every result of every run.
    assert uniforms(View(0, 0), key_hashes(["a"]), 2, stream="crop").tolist() == PINNED


PINNED = [[0.7085632420731937, 0.41699578218668487]]


def test_draws_are_uniform_and_independent():
    draws = uniforms(View(0, 0), HASHES, 8, stream="crop")
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    later = uniforms(View(0, 1), HASHES, 8, stream="crop")
    both = np.corrcoef(np.concatenate([draws, later], axis=1).T)
    assert np.abs(both - np.eye(16)).max() < 5 / np.sqrt(len(KEYS))


def test_crops_are_distributed_as_torchvisions():
    width, height = 120, 90
    mine = random_crops(View(1, 1), HASHES, np.tile([[width, height]], (len(KEYS), 1)))
    picture = Image.new("RGB", (width, height))
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(picture, CROP_SCALE, CROP_RATIO) for _ in KEYS])
    top, left, h, w = theirs.T
    theirs = np.stack([left, top, left + w, top + h], axis=1)
    for side in range(4):
        assert stats.ks_2samp(mine[:, side], theirs[:, side]).pvalue > 1e-3
    assert (mine[:, :2] >= 0).all()
    assert (mine[:, 2:] <= [width, height]).all()


def test_crops_of_extreme_pictures_fall_back_to_the_centre():
    boxes = random_crops(View(0, 0), HASHES[:2], np.array([[400, 10], [10, 400]]))
    np.testing.assert_array_equal(boxes, [[193, 0, 206, 10], [0, 193, 10, 206]])


def test_resampling_is_pillows():
    rng = np.random.default_rng(0)
    noise = np.kron(rng.integers(40, 200, (9, 9, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    picture = Image.fromarray(noise)
    for box in ((0.0, 0.0, 72.0, 72.0), (3.0, 5.0, 70.0, 66.0), (30.0, 30.0, 40.0, 41.0)):
        theirs = np.asarray(picture.crop(box).resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1) / 255
        mine = resample([noise.transpose(2, 0, 1)], torch.tensor([box]), 32)[0]
        # Pillow rounds to 8 bits between and after its two passes.
        assert np.abs(mine.numpy() - theirs).max() < 2.5 / 255


def test_filter_weights_sum_to_one_and_stay_inside():
    low, high = torch.tensor([0.0, 10.2, 47.0]), torch.tensor([48.0, 20.9, 48.0])
    weights = filter_weights(low, high, 48, 16)
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 16))
    assert not weights[1, :, :10].any()
    assert not weights[1, :, 21:].any()


def test_boxes_of_a_canvas_are_boxes_of_the_picture():
    """A picture squeezed to a square canvas gives the views of the picture, whatever its shape."""
    y, x = np.mgrid[:60, :120]
    smooth = np.stack([x * 2, y * 4, 255 - x * 2], axis=2).astype(np.uint8)
    picture = Image.fromarray(smooth)
    side = canvas_side(32)
    canvas = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)).transpose(2, 0, 1)[None]
    box = random_box(View(0, 3), "k", 120, 60)
    drawn = cut_views(PictureInput(32), canvas, np.array([[120, 60]]), key_hashes(["k"]), View(0, 3))
    mine = drawn[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(picture.crop(box).resize((32, 32), Image.Resampling.BICUBIC)) / 255
    assert np.abs(mine - theirs)[1:-1, 1:-1].max() < 0.015


def test_caption_policies():
    counts = np.full(len(KEYS), 5)
    assert not chosen_captions("first", View(0, 3), HASHES, counts).any()
    random = np.stack([chosen_captions("random", View(0, epoch), HASHES, counts) for epoch in range(20)])
    assert stats.chisquare(np.bincount(random.ravel(), minlength=5)).pvalue > 1e-3
    balanced = np.stack([chosen_captions("balanced", View(0, epoch), HASHES, counts) for epoch in range(10)])
    for caption in range(5):
        assert ((balanced == caption).sum(axis=0) == 2).all()
    assert stats.chisquare(np.bincount(balanced[0], minlength=5)).pvalue > 1e-3
    with pytest.raises(ValueError, match="policy"):
        chosen_captions("last", View(0, 0), HASHES, counts)


def smooth_canvases(count: int) -> torch.Tensor:
    y, x = np.mgrid[:300, :300]
    smooth = np.stack([x / 3 + 60, 128 + 90 * np.sin(y / 40), (x + y) / 4 + 40]).astype(np.uint8)
    return torch.from_numpy(smooth)[None].expand(count, -1, -1, -1).contiguous()


def test_large_canvases_are_resampled_as_small_ones():
    canvases = smooth_canvases(4)
    whole = torch.tensor([[0.0, 0, 300, 300], [3, 8, 290, 282], [0, 10, 212, 300], [120, 130, 180, 171]])
    dense, banded = resample_small(canvases, whole, 200), resample_large(canvases.numpy(), whole, 200)
    assert (dense - banded).abs().max() < 2 / 255
    assert torch.equal(resample(list(canvases.numpy()), whole, 200), banded)
    small = canvases[..., :96, :96]
    assert torch.equal(resample(list(small.numpy()), whole / 4, 66), resample_small(small, whole / 4, 66))


def test_large_canvases_are_resampled_without_aliases():
    # Random squares of four pixels, of values that no filter carries beyond 8 bits.
    random = torch.Generator().manual_seed(0)
    squares = torch.randint(70, 180, (2, 3, 50, 50), dtype=torch.uint8, generator=random)
    canvases = squares.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    boxes = torch.tensor([[0.0, 0, 200, 200], [10, 20, 190, 180]])
    dense, banded = resample_small(canvases, boxes, 60), resample_large(canvases.numpy(), boxes, 60)
    assert (dense - banded).abs().max() < 2 / 255


def test_large_canvases_are_cut_at_the_nearest_whole_pixels():
    canvases = smooth_canvases(3)
    boxes = torch.tensor([[0.2, 9.6, 211.9, 299.7], [299.8, 3.4, 300, 3.45], [0, 299.9, 300, 300]], dtype=torch.float64)
    whole = torch.tensor([[0.0, 10, 212, 300], [299, 3, 300, 4], [0, 299, 300, 300]])
    assert torch.equal(resample_large(canvases.numpy(), boxes, 40), resample_large(canvases.numpy(), whole, 40))
    assert (resample_large(canvases.numpy(), boxes, 40) - resample_small(canvases, whole, 40)).abs().max() < 2 / 255


def test_a_large_canvas_gives_the_same_view_in_any_batch():
    random = torch.Generator().manual_seed(0)
    canvases = torch.randint(0, 256, (19, 3, 120, 120), dtype=torch.uint8, generator=random)
    corner = torch.rand(19, 2, generator=random) * 40
    boxes = torch.cat([corner, corner + 60 + torch.rand(19, 2, generator=random) * 20], dim=1)
    together = resample_large(canvases.numpy(), boxes, 80)
    order = torch.randperm(19, generator=random)
    assert torch.equal(resample_large(canvases[order].numpy(), boxes[order], 80), together[order])
    for row in range(19):
        assert torch.equal(resample_large(canvases[row : row + 1].numpy(), boxes[row : row + 1], 80)[0], together[row])


def test_a_small_canvas_gives_the_same_view_in_any_batch():
    random = torch.Generator().manual_seed(0)
    canvases = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8, generator=random)
    whole = torch.tensor([[0.0, 0, 48, 48]]).repeat(4, 1)
    for boxes in (whole, whole - torch.tensor([0, 0, 1, 1]) * torch.arange(4)[:, None]):
        together = resample_small(canvases, boxes, 32)
        for row in range(4):
            assert torch.equal(resample_small(canvases[row : row + 1], boxes[row : row + 1], 32)[0], together[row])
