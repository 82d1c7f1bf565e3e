"""The error from the held-out set against the sample-by-sample table that the closed form avoids."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.cases import mask, numbers, same, unit
from oracles import clipmem, multimem
from vestige.metrics import (
    clip_heldout_se,
    contrast_weights,
    heldout_standard_error,
    multimem_heldout_se,
    multimem_heldout_se_from_spread,
    multimem_heldout_spread,
)
from vestige.metrics.multimem import Variant

NAMES = ("image", "text", "audio")
some = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


@some
@given(seed=seeds, n=st.integers(0, 4), h=st.integers(1, 7), k=st.integers(1, 4), indexed=st.booleans())
def test_equals_the_table(seed: int, n: int, h: int, k: int, indexed: bool) -> None:
    """More held-out samples than dimensions, and fewer; one; with the sample's own row left out."""
    v, z = numbers(seed, n, k), numbers(seed + 1, h, k)
    index = torch.arange(n) % (h + 1) - 1 if indexed else None
    same(heldout_standard_error(v, z, index=index), clipmem.heldout_standard_error(v, z, index))


def test_more_samples_than_are_held_at_a_time() -> None:
    """Chunks meet without a seam."""
    v, z = numbers(3, 4500, 3), numbers(4, 9, 3)
    index = torch.arange(4500) % 10 - 1
    whole = heldout_standard_error(v, z, index=index)
    for row in (0, 2047, 2048, 4499):
        same(whole[row : row + 1], clipmem.heldout_standard_error(v[row : row + 1], z, index[row : row + 1]))


@some
@given(seed=seeds, m=st.integers(1, 3), n=st.integers(1, 3), h=st.integers(2, 6), indexed=st.booleans())
def test_clip_score(seed: int, m: int, n: int, h: int, indexed: bool) -> None:
    """All models jointly, stacked or one by one."""
    inputs = [unit(seed + k, m, rows, 3) for k, rows in enumerate((n, n, h, h))]
    weight = numbers(seed + 9, m, n)
    index = torch.arange(n) % (h + 1) - 1 if indexed else None
    expected = clipmem.score_standard_error(*inputs, weight, index)
    same(clip_heldout_se(*inputs, weight, heldout_index=index), expected)
    same(clip_heldout_se(*(list(x) for x in inputs), weight, heldout_index=index), expected)
    one = weight[:, :1].expand(m, n).contiguous()
    same(clip_heldout_se(*inputs, one[:, 0]), clipmem.score_standard_error(*inputs, one))


@some
@given(seed=seeds, m=st.integers(1, 2), n=st.integers(1, 3), h=st.integers(2, 5), modalities=st.integers(2, 3))
def test_multimem_score(seed: int, m: int, n: int, h: int, modalities: int) -> None:
    """Each variant by its own formula."""
    own = [{j: unit(seed + 7 * k + 50 * c, n, 4) for k, j in enumerate(NAMES[:modalities])} for c in range(m)]
    heldout = [{j: unit(seed + 3 + 7 * k + 50 * c, h, 4) for k, j in enumerate(NAMES[:modalities])} for c in range(m)]
    weight = numbers(seed + 9, m, n)
    for variant in ("cmc", "pairwise", "mean_pair"):
        expected = multimem.score_standard_error(own, heldout, weight, variant)
        same(multimem_heldout_se(own, heldout, weight, variant=variant), expected)


def test_one_float64_input_decides_the_precision() -> None:
    """Samples and held-out set of different types are computed in the better one."""
    own, other = [unit(3, 4, 5)], [unit(4, 6, 5)]
    weight = torch.ones(1)
    whole = clip_heldout_se(own, own, other, other, weight)
    for first, second in ((torch.float64, torch.float32), (torch.float32, torch.float64)):
        x, h = [own[0].to(first)], [other[0].to(second)]
        found = clip_heldout_se(x, x, h, h, weight)
        assert found.dtype == torch.float64
        same(found, whole.tolist())
    single = [x.float() for x in own]
    assert clip_heldout_se(single, single, single, single, weight.double()).dtype == torch.float32


def test_models_may_differ_in_width() -> None:
    """Two models of 3 and 5 dimensions on independent terms: one without weight does not count."""
    narrow = [unit(k, rows, 3) for k, rows in enumerate((4, 4, 6, 6))]
    wide = [unit(k + 8, rows, 5) for k, rows in enumerate((4, 4, 6, 6))]
    both = [list(pair) for pair in zip(narrow, wide, strict=True)]
    alone = clip_heldout_se(*([x] for x in wide), torch.tensor([1.0]))
    same(clip_heldout_se(*both, torch.tensor([0.0, 1.0])), alone.tolist())


def test_missing_modalities() -> None:
    """A sample with one pair has that pair's error; without a pair, none."""
    own = [{j: unit(k, 4, 5) for k, j in enumerate(NAMES)}]
    heldout = [{j: unit(k + 10, 7, 5) for k, j in enumerate(NAMES)}]
    present = {"audio": torch.tensor([True, False, False, True]), "text": torch.tensor([True, True, False, True])}
    weight = torch.ones(1, dtype=torch.float64)
    gaps = [{j: x.where(present[j].unsqueeze(1), torch.nan) if j in present else x for j, x in own[0].items()}]
    found = multimem_heldout_se(gaps, heldout, weight, present=present, variant="mean_pair")
    pair = multimem_heldout_se(
        [{j: own[0][j] for j in ("image", "text")}],
        [{j: heldout[0][j] for j in ("image", "text")}],
        weight,
        variant="mean_pair",
    )
    whole = multimem_heldout_se(own, heldout, weight, variant="mean_pair")
    same(found, [float(whole[0]), float(pair[1]), math.nan, float(whole[3])])
    for variant in ("cmc", "pairwise"):
        found = multimem_heldout_se(gaps, heldout, weight, present=present, variant=variant)
        assert found.isnan().tolist() == [False, True, True, False]


def test_missing_in_the_held_out_set_agrees_with_resampling() -> None:
    """Means over unequal rows: the first-order error is the bootstrap's to a tenth."""
    h = 400
    own = [{j: unit(k, 3, 4) for k, j in enumerate(("image", "text"))}]
    heldout = {j: unit(k + 13, h, 4) for k, j in enumerate(("image", "text"))}
    rows = {"image": mask(5, h, share=0.5)}
    found = multimem_heldout_se(own, [heldout], torch.ones(1).double(), heldout_present=rows, variant="mean_pair")

    def second_term(draw: Tensor) -> Tensor:
        images = heldout["image"][draw][rows["image"][draw]].mean(0)
        return own[0]["text"] @ images + own[0]["image"] @ heldout["text"][draw].mean(0)

    generator = torch.Generator().manual_seed(1)
    draws = torch.stack([second_term(torch.randint(h, (h,), generator=generator)) for _ in range(600)])
    assert ((found / draws.std(0) - 1).abs() < 0.1).all()


def test_the_error_is_the_spread_of_the_score_over_held_out_sets() -> None:
    """Scores against 400 fresh held-out sets spread as one of them says."""
    generator = torch.Generator().manual_seed(2)
    image, text = unit(3, 2, 6), unit(4, 2, 6)

    def draw() -> tuple[Tensor, Tensor]:
        x = torch.randn(50, 6, generator=generator, dtype=torch.float64)
        y = x + torch.randn(50, 6, generator=generator, dtype=torch.float64)
        return torch.nn.functional.normalize(x, dim=1), torch.nn.functional.normalize(y, dim=1)

    sets = [draw() for _ in range(400)]
    scores = torch.stack([-(image @ t.mean(0)) - text @ i.mean(0) for i, t in sets])
    one = torch.stack([clip_heldout_se([image], [text], [i], [t], torch.ones(1)) for i, t in sets]).mean(0)
    assert ((one / scores.std(0) - 1).abs() < 0.1).all()


def test_a_sample_without_a_score_has_no_error() -> None:
    """Weights of a sample all models saw are NaN."""
    weight = contrast_weights(torch.tensor([[True, True], [False, True]]))
    inputs = [unit(k + 3, 2, rows, 3) for k, rows in enumerate((2, 2, 4, 4))]
    assert clip_heldout_se(*inputs, weight).isnan().tolist() == [False, True]


def test_refusals() -> None:
    """Each ValueError names the argument and what was found."""
    x, h = [unit(3, 5, 8)], [unit(4, 6, 8)]
    weight = torch.ones(1)
    with pytest.raises(ValueError, match=r"^v: expected \[N, K\], found \[3\]"):
        heldout_standard_error(torch.ones(3), torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"^z: expected \[H, K\] = \[\*, 3\], found \[2, 4\]"):
        heldout_standard_error(torch.ones(3, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"^z: expected finite values, found 8 NaN"):
        heldout_standard_error(torch.ones(3, 4), torch.full((2, 4), torch.nan))
    with pytest.raises(ValueError, match=r"^v: expected finite values or NaN, found 12 infinite"):
        heldout_standard_error(torch.full((3, 4), torch.inf), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"^heldout_index: expected values of at least -1 and at most 1"):
        heldout_standard_error(torch.ones(3, 4), torch.ones(2, 4), index=torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"^text: expected 1 models, found 2"):
        clip_heldout_se(x, x * 2, h, h, weight)
    with pytest.raises(ValueError, match=r"^image: number of models"):
        clip_heldout_se([], [], [], [], weight)
    with pytest.raises(ValueError, match=r"^heldout_text\[0\]: expected \[H, d\] = \[6, 8\], found \[5, 8\]"):
        clip_heldout_se(x, x, h, x, weight)
    with pytest.raises(ValueError, match=r"^weight: expected \[M\] or \[M, N\] = \[1\], found \[2\]"):
        clip_heldout_se(x, x, h, h, torch.ones(2))
    with pytest.raises(ValueError, match=r"^weight: expected \[M\] or \[M, N\] = \[1, 5\], found \[1, 4\]"):
        clip_heldout_se(x, x, h, h, torch.ones(1, 4))
    own, rest = [{"image": x[0], "text": x[0]}], [{"image": h[0], "text": h[0]}]
    with pytest.raises(ValueError, match=r"^heldout: expected 1 models, found 2"):
        multimem_heldout_se(own, rest * 2, weight)
    with pytest.raises(ValueError, match=r"^embeddings\[1\]: expected the modalities image, text, found image, audio"):
        multimem_heldout_se([*own, {"image": x[0], "audio": x[0]}], rest * 2, torch.ones(2))
    with pytest.raises(ValueError, match=r"^embeddings\[0\]\[text\]: expected unit norm, found 2"):
        multimem_heldout_se([{"image": x[0], "text": 2 * x[0]}], rest, weight)
    with pytest.raises(ValueError, match=r"^variant: expected one of"):
        multimem_heldout_se(own, rest, weight, variant="all")


@some
@given(seed=seeds, m=st.integers(1, 2), n=st.integers(1, 3), h=st.integers(2, 5), v=st.integers(1, 3))
def test_clip_score_with_augmented_held_out_terms(seed: int, m: int, n: int, h: int, v: int) -> None:
    """The means over views take the place of x; without views, and without the option, x stays."""
    inputs = [unit(seed + k, m, rows, 3) for k, rows in enumerate((n, n, h, h))]
    means = [unit(seed + k, m, n, v, 3).mean(2) for k in (20, 21)]
    weight = numbers(seed + 9, m, n)
    views = {"image_mean": means[0], "text_mean": means[1]}
    expected = clipmem.score_standard_error(*means, *inputs[2:], weight)
    same(clip_heldout_se(*inputs, weight, **views, augment_heldout_terms=True), expected)
    plain = clipmem.score_standard_error(*inputs, weight)
    same(clip_heldout_se(*inputs, weight, **views), plain)
    same(clip_heldout_se(*inputs, weight, augment_heldout_terms=True), plain)


@pytest.mark.parametrize("variant", ["cmc", "pairwise", "mean_pair"])
def test_the_held_out_side_is_made_once(variant: Variant) -> None:
    """Samples shard by shard against one spread, missing modalities included."""
    own = [{j: unit(7 * k + 50 * c, 9, 4) for k, j in enumerate(NAMES)} for c in range(2)]
    heldout = [{j: unit(3 + 7 * k + 50 * c, 7, 4) for k, j in enumerate(NAMES)} for c in range(2)]
    present, lacking = {"text": mask(5, 9)}, {"audio": mask(6, 7)}
    weight, index = numbers(9, 2, 9), torch.arange(9) % 8 - 1
    whole = multimem_heldout_se(
        own, heldout, weight, present=present, heldout_present=lacking, heldout_index=index, variant=variant
    )
    spread = multimem_heldout_spread(heldout, heldout_present=lacking, variant=variant)
    for rows in (slice(0, 4), slice(4, 9)):
        found = multimem_heldout_se_from_spread(
            [{j: x[rows] for j, x in group.items()} for group in own],
            spread,
            weight[:, rows],
            present={"text": present["text"][rows]},
            heldout_index=index[rows],
            variant=variant,
        )
        same(found, whole[rows].tolist())
    other = multimem_heldout_spread(heldout[:1], variant=variant)
    with pytest.raises(ValueError, match=r"^heldout: expected \d+ dimensions in all models"):
        multimem_heldout_se_from_spread(own, other, weight, variant=variant)
    x, h = [own[0]["image"]], [heldout[0]["image"]]
    with pytest.raises(ValueError, match=r"^image_mean: expected 1 models, found 2"):
        clip_heldout_se(x, x, h, h, torch.ones(1), image_mean=x * 2, augment_heldout_terms=True)
