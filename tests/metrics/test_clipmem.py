"""CLIP alignment against its printed formula, its identities, and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.cases import same, unit
from oracles import clipmem as oracle
from vestige.metrics import blocks, clip_alignment, clip_alignment_from_means, heldout_mean

pytestmark = pytest.mark.usefixtures("way")
some = settings(max_examples=60, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def tensors(seed: int, n: int, h: int, d: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image, text, held-out image, held-out text."""
    return unit(seed, n, d), unit(seed + 1, n, d), unit(seed + 2, h, d), unit(seed + 3, h, d)


@some
@given(
    seed=seeds,
    n=st.integers(1, 4),
    h=st.integers(1, 4),
    d=st.integers(1, 5),
    views=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    indexed=st.booleans(),
    augment=st.booleans(),
)
def test_equals_the_printed_formula(
    seed: int, n: int, h: int, d: int, views: tuple[int, int], indexed: bool, augment: bool
) -> None:
    """All V_I x V_T crossings, every held-out sample; zero views stand for none given; H = 1 with its own row: NaN."""
    inputs = tensors(seed, n, h, d)
    image_views = unit(seed + 4, n, views[0], d) if views[0] else None
    text_views = unit(seed + 5, n, views[1], d) if views[1] else None
    index = torch.arange(n) % (h + 1) - 1 if indexed else None
    found = clip_alignment(
        *inputs,
        image_views=image_views,
        text_views=text_views,
        heldout_index=index,
        augment_heldout_terms=augment,
    )
    same(found, oracle.clip_alignment(*inputs, image_views, text_views, index, augment))


@some
@given(seed=seeds, n=st.integers(0, 3), h=st.integers(1, 3), v=st.integers(1, 3), indexed=st.booleans())
def test_from_means_is_the_same(seed: int, n: int, h: int, v: int, indexed: bool) -> None:
    """The streaming form, with one held-out mean for all and with one for each sample."""
    image, text, heldout_image, heldout_text = tensors(seed, n, h, 4)
    views = unit(seed + 4, n, v, 4)
    index = torch.arange(n) % h if indexed else None
    for augment in (False, True):
        direct = clip_alignment(
            image,
            text,
            heldout_image,
            heldout_text,
            image_views=views,
            heldout_index=index,
            augment_heldout_terms=augment,
        )
        means = heldout_mean(heldout_image, index=index), heldout_mean(heldout_text, index=index)
        streamed = clip_alignment_from_means(image, text, views.mean(1), text, *means, augment_heldout_terms=augment)
        same(streamed, direct.tolist())


def test_without_a_row_is_the_mean_over_the_others() -> None:
    """Every row left out in turn, and rows that are not present."""
    heldout = unit(3, 5, 4)
    present = torch.tensor([True, True, False, True, True])
    index = torch.tensor([-1, 0, 2, 4])
    found = heldout_mean(heldout, index=index, present=present)
    for row, left_out in enumerate(index.tolist()):
        rows = [h for h in range(5) if h != left_out and bool(present[h])]
        same(found[row], heldout[rows].mean(0).tolist())
    assert heldout_mean(heldout[:1], index=torch.tensor([0])).isnan().all()
    same(heldout_mean(heldout[:1]), heldout[0].tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    """The same stored numbers in float64 give the same score: nothing is lost but in the storage."""
    h = 3000
    small = [unit(seed, 6, 16, dtype=dtype) for seed in (3, 4)] + [unit(seed, h, 16, dtype=dtype) for seed in (8, 9)]
    views = unit(10, 6, 4, 16, dtype=dtype)
    found = clip_alignment(small[0], small[1], small[2], small[3], image_views=views)
    assert found.dtype == torch.float32
    mu, m = views.double().mean(1), [x.double().mean(0) for x in small[2:]]
    exact = (mu * small[1].double()).sum(1) - small[0].double() @ m[1] - small[1].double() @ m[0]
    same(found, exact.tolist())


def test_one_float64_input_decides_the_precision() -> None:
    """Mixed inputs are computed in the better type."""
    image, text, heldout_image, heldout_text = tensors(3, 2, 2, 3)
    assert clip_alignment(image.float(), text, heldout_image, heldout_text).dtype == torch.float64


def broken(image: Tensor) -> dict[str, Tensor]:
    """An image tensor spoilt in every way."""
    nan = image.clone()
    nan[1, 0] = torch.nan
    return {
        r"image: expected \[N, d\], found \[5, 8, 1\]": image.unsqueeze(-1),
        r"image: expected float16, bfloat16, float32 or float64, found int64": image.long(),
        r"image: expected unit norm, found 2": image * 2,
        r"image: expected unit norm, found NaN in 1 embeddings": nan,
    }


def test_refuses_what_it_cannot_mean() -> None:
    """Each ValueError names the argument and what was found."""
    image, text, heldout_image, heldout_text = tensors(3, 5, 4, 8)
    for message, bad in broken(image).items():
        with pytest.raises(ValueError, match=message):
            clip_alignment(bad, text, heldout_image, heldout_text)
        with pytest.raises(ValueError, match=message):
            clip_alignment_from_means(bad, text, image, text, heldout_image[0], heldout_text[0])
    with pytest.raises(ValueError, match=r"^text: expected \[N, d\] = \[5, 8\], found \[4, 8\]$"):
        clip_alignment(image, text[:4], heldout_image, heldout_text)
    with pytest.raises(ValueError, match=r"^heldout_image: expected \[H, d\] = \[\*, 8\], found \[4, 7\]$"):
        clip_alignment(image, text, heldout_image[:, :7], heldout_text)
    with pytest.raises(ValueError, match=r"^heldout_text: expected \[H, d\] = \[4, 8\], found \[3, 8\]$"):
        clip_alignment(image, text, heldout_image, heldout_text[:3])
    with pytest.raises(ValueError, match=r"heldout_image: expected at least one held-out sample, found none"):
        clip_alignment(image, text, heldout_image[:0], heldout_text[:0])
    with pytest.raises(ValueError, match=r"^text: expected device cpu, found meta$"):
        clip_alignment(image, text.to("meta"), heldout_image, heldout_text)
    with pytest.raises(ValueError, match=r"^image_views: expected \[N, V, d\] = \[5, \*, 8\], found \[5, 8\]$"):
        clip_alignment(image, text, heldout_image, heldout_text, image_views=image)
    with pytest.raises(
        ValueError, match=r"text_views: number of views: expected a whole number of at least 1, found 0"
    ):
        clip_alignment(image, text, heldout_image, heldout_text, text_views=text.new_zeros(5, 0, 8))
    with pytest.raises(ValueError, match=r"text_views: expected unit norm, found 0"):
        clip_alignment(image, text, heldout_image, heldout_text, text_views=text.new_zeros(5, 1, 8))
    with pytest.raises(ValueError, match=r"image: expected a tensor"):
        clip_alignment(image.tolist(), text, heldout_image, heldout_text)


def test_refuses_wrong_indices_and_means() -> None:
    """Held-out indices outside H, means longer than 1."""
    image, text, heldout_image, heldout_text = tensors(3, 5, 4, 8)
    for index, message in (
        (torch.tensor([0, 1, 2, 3, 4]), "expected values of at least -1 and at most 3, found 0 to 4"),
        (torch.tensor([0, 1, 2, 3, -2]), "expected values of at least -1 and at most 3, found -2 to 3"),
        (torch.zeros(5), "expected int64, found float32"),
        (torch.zeros(4).long(), r"expected \[N\] = \[5\], found \[4\]"),
    ):
        with pytest.raises(ValueError, match=rf"^heldout_index: {message}$"):
            clip_alignment(image, text, heldout_image, heldout_text, heldout_index=index)
    mean = heldout_image.mean(0)
    with pytest.raises(ValueError, match=r"text_mean: expected a mean of unit embeddings .*found 3"):
        clip_alignment_from_means(image, text, image, 3 * text, mean, mean)
    with pytest.raises(ValueError, match=r"image_mean: expected a mean of unit embeddings, found NaN"):
        clip_alignment_from_means(image, text, image * torch.nan, text, mean, mean)
    with pytest.raises(ValueError, match=r"heldout_text_mean: expected a mean of unit embeddings, found NaN"):
        clip_alignment_from_means(image, text, image, text, mean, mean * torch.nan)
    with pytest.raises(ValueError, match=r"heldout_image_mean: expected \[N, d\] = \[5, 8\], found \[3, 8\]"):
        clip_alignment_from_means(image, text, image, text, heldout_image[:3], mean)
    with pytest.raises(ValueError, match=r"heldout_image_mean: expected \[d\] or \[N, d\] = \[8\], found \[7\]"):
        clip_alignment_from_means(image, text, image, text, mean[:7], mean)
    with pytest.raises(ValueError, match=r"heldout: expected at least one held-out sample, found none"):
        heldout_mean(heldout_image, present=torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"heldout_present: expected bool, found int64"):
        heldout_mean(heldout_image, present=torch.zeros(4).long())


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_blocks_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch, rows: int, augment: bool) -> None:
    """Samples and held-out set in blocks of one row, of some that do not divide them, and all at once."""
    inputs = tensors(3, 11, 8, 4)
    views = {"image_views": unit(8, 11, 3, 4), "text_views": unit(9, 11, 2, 4)}
    index = torch.arange(11) % 9 - 1
    monkeypatch.setattr(blocks, "BLOCK_BYTES", rows * 3 * 4 * 8)
    found = clip_alignment(*inputs, **views, heldout_index=index, augment_heldout_terms=augment)
    same(found, oracle.clip_alignment(*inputs, *views.values(), index, augment))
    monkeypatch.setattr(blocks, "FEW_CROSSINGS", 0)
    again = clip_alignment(*inputs, **views, heldout_index=index, augment_heldout_terms=augment)
    same(again, found.tolist())


@pytest.mark.parametrize("row", [0, 4, 9])
@pytest.mark.parametrize("spoilt", ["image", "text", "heldout_image", "heldout_text", "image_views"])
def test_every_block_is_checked(monkeypatch: pytest.MonkeyPatch, row: int, spoilt: str) -> None:
    """A bad row is found wherever it lies."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 3 * 4 * 8)
    inputs = dict(zip(("image", "text", "heldout_image", "heldout_text"), tensors(3, 10, 10, 4), strict=True))
    inputs["image_views"] = unit(8, 10, 2, 4)
    inputs[spoilt] = inputs[spoilt].clone()
    inputs[spoilt][row] *= 3
    with pytest.raises(ValueError, match=rf"^{spoilt}: expected unit norm, found 3"):
        clip_alignment(**inputs)
