"""Cross-modal consistency against its printed formula, its identities, missing modalities, and what it refuses."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.cases import mask, same, unit
from oracles import multimem as oracle
from vestige.metrics import (
    blocks,
    clip_alignment,
    cross_modal_consistency,
    cross_modal_consistency_from_means,
    heldout_mean,
    leave_one_modality_out,
    pair_alignments,
    rank_modalities,
)

pytestmark = pytest.mark.usefixtures("way")
NAMES = ("image", "text", "audio", "video")
some = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)
Group = dict[str, Tensor]


def group(seed: int, modalities: int, *shape: int) -> Group:
    """Random unit embeddings by modality."""
    return {j: unit(seed + 10 * k, *shape) for k, j in enumerate(NAMES[:modalities])}


@some
@given(
    seed=seeds,
    n=st.integers(1, 3),
    h=st.integers(1, 3),
    modalities=st.integers(2, 4),
    v=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    indexed=st.booleans(),
    lacking=st.booleans(),
    blank=st.sampled_from([torch.nan, 0.6]),
)
def test_equals_the_printed_formulas(
    seed: int, n: int, h: int, modalities: int, v: list[int], indexed: bool, lacking: bool, blank: float
) -> None:
    """All variants and the pairs; unequal numbers of views, or none; modalities absent here and there, blank or not."""
    own, heldout = group(seed, modalities, n, 4), group(seed + 100, modalities, h, 4)
    views = {j: unit(seed + 200 + k, n, v[k], 4) for k, j in enumerate(own) if v[k]}
    index = torch.arange(n) % (h + 1) - 1 if indexed else None
    present = {j: mask(seed + k, n) if lacking else torch.ones(n).bool() for k, j in enumerate(own)}
    heldout_present = {j: mask(seed + 50 + k, h) if lacking else torch.ones(h).bool() for k, j in enumerate(own)}
    for rows in heldout_present.values():
        rows[-1] = True
    complete = torch.stack(list(present.values())).all(0).tolist()
    pairs = oracle.pairs(own, heldout, views, index, heldout_present)
    expected = {
        "cmc": oracle.cmc(own, heldout, views, index, heldout_present),
        "pairwise": [math.fsum(p[i] for p in pairs.values()) / (modalities - 1) for i in range(n)],
        "mean_pair": oracle.mean_of_pairs(pairs, present, n),
    }
    for name in ("cmc", "pairwise"):
        expected[name] = [x if whole else math.nan for x, whole in zip(expected[name], complete, strict=True)]
    absent = {j: x.where(present[j].unsqueeze(1), blank) for j, x in own.items()}
    absent_views = {j: x.where(present[j].reshape(-1, 1, 1), blank) for j, x in views.items()}
    absent_heldout = {j: x.where(heldout_present[j].unsqueeze(1), blank) for j, x in heldout.items()}
    masks = {"present": present, "heldout_present": heldout_present} if lacking else {}
    for variant, values in expected.items():
        found = cross_modal_consistency(
            absent, absent_heldout, views=absent_views, heldout_index=index, variant=variant, **masks
        )
        same(found, values)
        means = {j: absent_views[j].mean(1) if j in views else absent[j] for j in own}
        heldout_means = {j: heldout_mean(x, index=index, present=heldout_present[j]) for j, x in absent_heldout.items()}
        streamed = cross_modal_consistency_from_means(
            absent, means, heldout_means, variant=variant, present=present if lacking else None
        )
        same(streamed, values)
    found_pairs = pair_alignments(absent, absent_heldout, views=absent_views, heldout_index=index, **masks)
    assert list(found_pairs) == list(combinations(NAMES[:modalities], 2))
    for (j, k), found in found_pairs.items():
        both = (present[j] & present[k]).tolist()
        same(found, [x if has else math.nan for x, has in zip(pairs[j, k], both, strict=True)])


@some
@given(seed=seeds, modalities=st.integers(3, 4))
def test_cmc_is_the_sum_over_pairs_and_a_rest(seed: int, modalities: int) -> None:
    """cmc(n) = sum of cmc(j, k) + (n - 2)/2 sum of x_j . m_j + const(n): half of what is global is scale."""
    own, heldout = group(seed, modalities, 3, 5), group(seed + 100, modalities, 4, 5)
    views = {j: unit(seed + 200 + k, 3, 2, 5) for k, j in enumerate(own)}
    whole = cross_modal_consistency(own, heldout, views=views)
    pairs = sum(
        cross_modal_consistency(
            {j: own[j], k: own[k]}, {j: heldout[j], k: heldout[k]}, views={j: views[j], k: views[k]}
        )
        for j, k in combinations(own, 2)
    )
    rest = sum(x @ heldout[j].mean(0) for j, x in own.items())
    count = len(list(combinations(own, 2)))
    same(whole, (pairs + (modalities - 2) / 2 * rest + modalities / 2 - count).tolist())


@some
@given(seed=seeds, v=st.integers(1, 3))
def test_two_modalities_are_clipmem(seed: int, v: int) -> None:
    """At n = 2 the two pair variants equal CLIP's alignment, and cmc does not."""
    own, heldout = group(seed, 2, 3, 5), group(seed + 100, 2, 4, 5)
    views = {"text": unit(seed + 7, 3, v, 5)}
    clip = clip_alignment(own["image"], own["text"], heldout["image"], heldout["text"], text_views=views["text"])
    for variant in ("pairwise", "mean_pair"):
        same(cross_modal_consistency(own, heldout, views=views, variant=variant), clip.tolist())
    same_modality = sum(x @ heldout[j].mean(0) for j, x in own.items())
    to_held_out = own["image"] @ heldout["text"].mean(0) + own["text"] @ heldout["image"].mean(0)
    cmc = cross_modal_consistency(own, heldout, views=views)
    same(cmc, (clip + 1 - same_modality / 2 + to_held_out / 2).tolist())


def test_one_drawn_view_is_compared_with_itself() -> None:
    """The diagonal adds exactly n/2 even where storage in half precision left norms beside 1."""
    own = {j: x.half() for j, x in group(3, 3, 4, 8).items()}
    heldout = {j: x.half() for j, x in group(23, 3, 4, 8).items()}
    found = cross_modal_consistency(own, heldout)
    x = {j: t.double() for j, t in own.items()}
    crossed = sum((x[j] * x[k]).sum(1) for j, k in combinations(x, 2))
    second = sum(x[j] @ heldout[k].double().mean(0) for j in x for k in x) / 2
    same(found, (1.5 + crossed - second).tolist())


def test_leave_one_out_and_ranking() -> None:
    """Alignment without each modality; the drop of the mean orders them."""
    own, heldout = group(3, 3, 6, 5), group(103, 3, 4, 5)
    views = {"audio": unit(9, 6, 2, 5)}
    without = leave_one_modality_out(own, heldout, views=views)
    pairs = pair_alignments(own, heldout, views=views)
    same(without["image"], pairs["text", "audio"].tolist())
    same(without["audio"], pairs["image", "text"].tolist())
    whole = cross_modal_consistency(own, heldout, views=views, variant="mean_pair")
    ranking = rank_modalities(whole, without)
    assert [r.drop for r in ranking] == sorted((r.drop for r in ranking), reverse=True)
    for entry in ranking:
        difference = whole - without[entry.modality]
        same(entry.drop, float(difference.mean()))
        same(entry.se, float(difference.std() / math.sqrt(6)))
        assert entry.n == 6


def test_leave_one_out_with_missing_modalities() -> None:
    """Masks, views and indices go with the modalities that remain."""
    own, heldout = group(3, 3, 4, 5), group(103, 3, 4, 5)
    views = {"text": unit(8, 4, 2, 5)}
    present = {"audio": torch.tensor([True, False, True, True]), "text": torch.tensor([True, True, False, True])}
    heldout_present = {"text": torch.tensor([True, False, True, True])}
    index = torch.tensor([-1, 0, 2, 3])
    masks = {"present": present, "heldout_present": heldout_present, "heldout_index": index}
    pairs = pair_alignments(own, heldout, views=views, **masks)
    without = leave_one_modality_out(own, heldout, views=views, **masks)
    same(without["image"], pairs["text", "audio"].tolist())
    same(without["text"], pairs["image", "audio"].tolist())
    same(without["audio"], pairs["image", "text"].tolist())


def test_ranking_of_missing_scores() -> None:
    """Only samples with both scores count; a modality without any comes last."""
    nan = torch.nan
    ranking = rank_modalities(
        torch.tensor([1.0, nan, 3.0]),
        {"text": torch.tensor([nan, nan, nan]), "audio": torch.tensor([0.5, 0.0, nan]), "image": torch.zeros(3)},
    )
    assert [(r.modality, r.n) for r in ranking] == [("image", 2), ("audio", 1), ("text", 0)]
    assert [r.drop for r in ranking[:2]] == [2.0, 0.5]
    assert math.isnan(ranking[1].se)
    assert math.isnan(ranking[2].drop)
    assert ranking[0].se == pytest.approx(1.0)


def refusals() -> list[tuple[str, dict[str, object]]]:
    """What is said, and the arguments that are replaced."""
    own, heldout = group(3, 3, 5, 8), group(103, 3, 4, 8)
    text = own["text"]
    yes = torch.ones(5, dtype=torch.bool)
    return [
        ("embeddings: expected at least 2 modalities, found 1", {"embeddings": {"text": text}}),
        ("embeddings: expected tensors by modality, found Tensor", {"embeddings": text}),
        ("heldout: expected the modalities image, text, audio, found image, text", {"heldout": group(3, 2, 4, 8)}),
        (
            r"embeddings\[text\]: expected \[N, d\] = \[5, 8\], found \[4, 8\]",
            {"embeddings": {**own, "text": text[:4]}},
        ),
        (r"embeddings\[text\]: expected unit norm, found 2", {"embeddings": {**own, "text": 2 * text}}),
        (r"embeddings\[text\]: expected device cpu, found meta", {"embeddings": {**own, "text": text.to("meta")}}),
        (
            r"heldout\[audio\]: expected \[H, d\] = \[4, 8\], found \[3, 8\]",
            {"heldout": {**heldout, "audio": text[:3]}},
        ),
        (r"heldout\[audio\]: expected unit norm, found NaN", {"heldout": {**heldout, "audio": text[:4] * torch.nan}}),
        (r"heldout\[image\]: expected at least one held-out", {"heldout": {j: x[:0] for j, x in heldout.items()}}),
        ("views: expected some of the modalities image, text, audio, found video", {"views": {"video": text}}),
        (r"views\[text\]: expected \[N, V, d\] = \[5, \*, 8\], found \[5, 8\]", {"views": {"text": text}}),
        ("views: expected tensors by modality, found Tensor", {"views": text}),
        ("present: expected some of the modalities image, text, audio, found video", {"present": {"video": yes}}),
        (r"present\[text\]: expected bool, found int64", {"present": {"text": yes.long()}}),
        (r"present\[text\]: expected \[N\] = \[5\], found \[4\]", {"present": {"text": yes[:4]}}),
        (r"heldout_present\[text\]: expected \[H\] = \[4\], found \[5\]", {"heldout_present": {"text": yes}}),
        (r"heldout\[text\]: expected at least one held-out sample", {"heldout_present": {"text": ~yes[:4]}}),
        ("heldout_index: expected values of at least -1 and at most 3", {"heldout_index": torch.arange(5)}),
        ("variant: expected one of 'cmc', 'pairwise', 'mean_pair', found 'mean'", {"variant": "mean"}),
    ]


@pytest.mark.parametrize(("message", "changed"), refusals(), ids=lambda value: value if isinstance(value, str) else "")
def test_refuses_what_it_cannot_mean(message: str, changed: dict[str, object]) -> None:
    """Each ValueError names the argument and what was found."""
    arguments = {"embeddings": group(3, 3, 5, 8), "heldout": group(103, 3, 4, 8)} | changed
    with pytest.raises(ValueError, match=rf"^{message}"):
        cross_modal_consistency(**arguments)


def test_other_refusals() -> None:
    """The streaming form, leave-one-out with two modalities, rankings of nothing."""
    own, heldout = group(3, 2, 5, 8), group(103, 2, 4, 8)
    m = {j: x.mean(0) for j, x in heldout.items()}
    with pytest.raises(ValueError, match=r"^means: expected the modalities image, text, found image"):
        cross_modal_consistency_from_means(own, {"image": own["image"]}, m)
    with pytest.raises(ValueError, match=r"^means\[text\]: expected a mean of unit embeddings .*found 2"):
        cross_modal_consistency_from_means(own, {**own, "text": 2 * own["text"]}, m)
    with pytest.raises(ValueError, match=r"^heldout_means\[text\]: expected \[d\] or"):
        cross_modal_consistency_from_means(own, own, {**m, "text": m["text"][:5]})
    with pytest.raises(ValueError, match=r"^embeddings\[image\]: expected unit norm"):
        cross_modal_consistency_from_means({**own, "image": own["image"] / 2}, own, m)
    with pytest.raises(ValueError, match=r"^embeddings: expected at least 3 modalities, found 2"):
        leave_one_modality_out(own, heldout)
    with pytest.raises(ValueError, match=r"^without: expected at least 1 modalities, found 0"):
        rank_modalities(torch.zeros(3), {})
    with pytest.raises(ValueError, match=r"^without\[text\]: expected \[N\] = \[3\], found \[4\]"):
        rank_modalities(torch.zeros(3), {"text": torch.zeros(4)})


@pytest.mark.parametrize("variant", ["cmc", "pairwise", "mean_pair"])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_blocks_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch, rows: int, variant: str) -> None:
    """Samples in blocks that do not divide them, some in the held-out set, some lacking a modality."""
    own, heldout = group(3, 3, 11, 4), group(103, 3, 8, 4)
    views = {j: unit(203 + k, 11, 2, 4) for k, j in enumerate(own) if k}
    index = torch.arange(11) % 9 - 1
    pairs = oracle.pairs(own, heldout, views, index, {j: torch.ones(8).bool() for j in own})
    expected = {
        "cmc": oracle.cmc(own, heldout, views, index, {j: torch.ones(8).bool() for j in own}),
        "pairwise": [math.fsum(p[i] for p in pairs.values()) / 2 for i in range(11)],
        "mean_pair": [math.fsum(p[i] for p in pairs.values()) / 3 for i in range(11)],
    }
    monkeypatch.setattr(blocks, "BLOCK_BYTES", rows * 2 * 4 * 8)
    same(
        cross_modal_consistency(own, heldout, views=views, heldout_index=index, variant=variant),
        expected[variant],
    )
    found = pair_alignments(own, heldout, views=views, heldout_index=index)
    for pair, values in pairs.items():
        same(found[pair], values)
