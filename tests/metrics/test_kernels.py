"""What is summed by NumPy, by torch for other devices, and by several threads: all the same."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from metrics.cases import same, unit
from vestige.metrics import (
    LabelSets,
    blocks,
    clip_alignment,
    cross_modal_consistency,
    dejavu,
    heldout_mean,
    kernels,
    object_recovery,
    pair_alignments,
)


@pytest.fixture
def threads() -> Iterator[None]:
    """Three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors are taken for those of another device."""
    for module in (kernels, blocks, dejavu):
        monkeypatch.setattr(module, "on_processor", lambda tensor: False)


def alignments(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Every formula that reads in blocks, with views, means of others, and samples without a modality."""
    own = {j: unit(k + 3, 21, 12, dtype=dtype) for k, j in enumerate(("image", "text", "audio"))}
    heldout = {j: unit(k + 103, 17, 12, dtype=dtype) for k, j in enumerate(own)}
    views = {"image": unit(203, 21, 4, 12, dtype=dtype), "text": unit(204, 21, 3, 12, dtype=dtype)}
    index = torch.arange(21) % 9 - 1
    present, known = {"audio": torch.arange(21) % 4 > 0}, {"text": torch.arange(17) % 3 > 0}
    own["audio"][~present["audio"]] = torch.inf
    heldout["text"][~known["text"]] = torch.nan
    pair = [own["image"], own["text"], heldout["image"], heldout["audio"]]
    seen = {"image_views": views["image"], "text_views": views["text"], "heldout_index": index}
    lacking = {"views": views, "present": present, "heldout_present": known, "heldout_index": index}
    return [
        clip_alignment(*pair),
        *(clip_alignment(*pair, **seen, augment_heldout_terms=augment) for augment in (False, True)),
        *(cross_modal_consistency(own, heldout, **lacking, variant=v) for v in ("cmc", "pairwise", "mean_pair")),
        *pair_alignments(own, heldout, **lacking).values(),
        heldout_mean(heldout["text"], present=known["text"]),
    ]


def public(labels: int) -> tuple[Tensor, LabelSets, LabelSets]:
    """Neighbours of 300 targets that do not lie end to end, with sets over some number of labels."""
    generator = torch.Generator().manual_seed(labels)

    def draw(rows: int) -> LabelSets:
        sizes = torch.randint(0, 9, (rows,), generator=generator)
        drawn = torch.randint(labels, (int(sizes.sum()),), generator=generator)
        return LabelSets(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]), drawn, labels)

    return torch.randint(40, (7, 600), generator=generator).T[::2], draw(300), draw(40)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_another_device_finds_the_same(dtype: torch.dtype, request: pytest.FixtureRequest) -> None:
    """NumPy and torch, in every precision, with infinities and NaN where nothing is to be read."""
    expected = alignments(dtype)
    request.getfixturevalue("elsewhere")
    for found, wanted in zip(alignments(dtype), expected, strict=True):
        assert found.dtype == wanted.dtype
        same(found, wanted.tolist())


def test_threads_find_the_same_bits(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    """The threads share the blocks, and the blocks do not depend on them."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 12 * 4)
    monkeypatch.setattr(dejavu, "CELLS", 32)
    near, truth, pool = public(200)
    found, recovered = alignments(), object_recovery(near, truth, pool)
    torch.set_num_threads(1)
    for one, three in zip(alignments(), found, strict=True):
        assert torch.equal(one.nan_to_num(7), three.nan_to_num(7))
    assert torch.equal(object_recovery(near, truth, pool).predicted, recovered.predicted)


@pytest.mark.parametrize("labels", [1, 63, 64, 65, 200, 1000])
@pytest.mark.parametrize("targets", [0, 1, 300])
@pytest.mark.parametrize("k", [0, 1, 7])
def test_or_of_rows(labels: int, targets: int, k: int, request: pytest.FixtureRequest) -> None:
    """Unions of rows of any width, of none, and of rows that do not lie end to end, on both paths."""
    near, _, pool = public(labels)
    rows, table = near[:targets, :k], pool.bits(0, len(pool))
    expected = torch.zeros(targets, pool.words(), dtype=torch.long)
    for i, row in enumerate(rows.tolist()):
        for j in row:
            expected[i] |= table[j]
    assert torch.equal(kernels.or_of_rows(table, rows), expected)
    counts = [sum((word & (2**64 - 1)).bit_count() for word in row) for row in expected.tolist()]
    assert kernels.bit_count(expected).tolist() == counts
    request.getfixturevalue("elsewhere")
    assert torch.equal(kernels.or_of_rows(table, rows), expected)
    assert kernels.bit_count(expected).tolist() == counts


def test_many_views_have_their_mean_too() -> None:
    """Beyond what BLAS computes alone the mean is taken otherwise."""
    for v in (3, kernels.BLAS_ALONE // 12 + 1):
        views = unit(5, 3, v, 12)
        same(kernels.tensor_of(kernels.mean_of_views(views.numpy())), views.mean(1).flatten().tolist())


def test_embeddings_that_do_not_lie_end_to_end() -> None:
    """Every second row, a transposed matrix, tensors of a training, and of inference."""
    image, text, other_image, other_text = (unit(k + 3, 8, 6, dtype=torch.float32) for k in range(4))
    expected = clip_alignment(image, text, other_image, other_text).tolist()
    apart = torch.stack([image, text], 1).flatten(0, 1)[::2]
    assert not apart.is_contiguous()
    same(clip_alignment(apart, text.T.contiguous().T, other_image, other_text), expected)
    same(clip_alignment(image.clone().requires_grad_(), text, other_image, other_text), expected)
    with torch.inference_mode():
        same(clip_alignment(image * 1, text * 1, other_image * 1, other_text * 1), expected)


def test_inference_on_threads(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    """Inference is a matter of each thread: what one makes, another may not write to."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 12 * 4)
    monkeypatch.setattr(dejavu, "CELLS", 32)
    near, truth, pool = public(200)
    expected, recovered = alignments(), object_recovery(near, truth, pool)
    with torch.inference_mode():
        for found, wanted in zip(alignments(), expected, strict=True):
            same(found, wanted.tolist())
        assert object_recovery(near + 0, truth, pool).correct.tolist() == recovered.correct.tolist()


def test_an_error_in_a_thread_reaches_the_caller(threads: None) -> None:
    """Whichever block it lies in, and the order of results is that of the blocks."""
    rows = [slice(k, k + 1) for k in range(30)]
    assert kernels.in_blocks(lambda block: block.start, rows, on_threads=True) == list(range(30))

    def fail(block: slice) -> int:
        if block.start == 17:
            raise ValueError("block 17")
        return block.start

    for _ in range(5):
        with pytest.raises(ValueError, match="block 17"):
            kernels.in_blocks(fail, rows, on_threads=True)
