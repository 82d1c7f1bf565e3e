"""Time of the metrics against their printed formulas, on this machine: `python benchmarks/metrics.py`.

The alignments are compared with the literal formula in vectorised form: products of matrices for the similarities of
all samples with all held-out samples and for all crossings of views, then the means. Deja Vu is compared with sets in
Python, one target at a time. Both sides get the same tensors, types and threads and take the best of as many runs as
fit in some seconds. Our side includes its checks of the inputs; the other has none. Beside each row stands what
reading the inputs once takes, and the ratio that would give, the bound: no form can take less.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise, product

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

import encoders
import growth
from vestige.metrics import (
    LabelSets,
    clip_alignment,
    clip_heldout_se,
    cross_modal_consistency,
    fused,
    multimem_heldout_se,
    object_recovery,
    ssl_alignment,
    unit_memorization,
)
from vestige.metrics.multimem import Variant


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: is compared.
        literal, ours: seconds of the two forms.
        floor: seconds that reading the inputs once takes, a sum of each; no form can be faster.
        difference: the largest of their results.
    """

    what: str
    literal: float
    ours: float
    floor: float
    difference: float


def best_of(seconds: float, run: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """The least time of as many runs as fit in some seconds, at least one, and the result."""
    least, begin = math.inf, time.perf_counter()
    while True:
        start = time.perf_counter()
        result = run()
        end = time.perf_counter()
        least = min(least, end - start)
        if end - begin > seconds:
            return least, result


def compare(
    what: str,
    literal: Callable[[], Tensor],
    ours: Callable[[], Tensor],
    seconds: float,
    inputs: Sequence[Tensor],
) -> Row:
    """Both sides timed and held against each other; `inputs` are read once for the floor."""
    ours()  # where loops are compiled, that is done at the first call
    slow, expected = best_of(seconds, literal)
    fast, found = best_of(seconds, ours)
    floor, _ = best_of(seconds / 4, lambda: torch.stack([tensor.sum().double() for tensor in inputs]))
    return Row(what, slow, fast, floor, float((expected.double() - found.double()).nan_to_num().abs().max()))


def unit(seed: int, *shape: int) -> Tensor:
    """Random unit vectors in single precision."""
    return normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def crossing(a: Tensor, b: Tensor) -> Tensor:
    """Mean similarity over all crossings of views [N, V, d] and [N, W, d] -> [N]."""
    return torch.bmm(a, b.transpose(1, 2)).mean((1, 2))


def against(x: Tensor, heldout: Tensor) -> Tensor:
    """Mean similarity of each sample with all held-out samples [N, d], [H, d] -> [N]."""
    return (x @ heldout.T).mean(1)


def clip_rows(options: argparse.Namespace) -> Iterable[Row]:
    """CLIPMem, eq. 3."""
    n, h, v, d = options.samples, options.heldout, options.views, options.width
    image, text, other_image, other_text = (unit(k, rows, d) for k, rows in enumerate((n, n, h, h)))
    yield compare(
        "CLIP alignment, no views",
        lambda: (image * text).sum(1) - against(image, other_text) - against(text, other_image),
        lambda: clip_alignment(image, text, other_image, other_text),
        options.seconds,
        (image, text, other_image, other_text),
    )
    image_views, text_views = unit(5, n, v, d), unit(6, n, v, d)
    yield compare(
        f"CLIP alignment, {v} x {v} views",
        lambda: crossing(image_views, text_views) - against(image, other_text) - against(text, other_image),
        lambda: clip_alignment(image, text, other_image, other_text, image_views=image_views, text_views=text_views),
        options.seconds,
        (image, text, other_image, other_text, image_views, text_views),
    )
    yield compare(
        f"CLIP alignment, {v} x {v} views in all terms",
        lambda: (
            crossing(image_views, text_views)
            - against(image_views.flatten(0, 1), other_text).view(n, v).mean(1)
            - against(text_views.flatten(0, 1), other_image).view(n, v).mean(1)
        ),
        lambda: clip_alignment(
            image,
            text,
            other_image,
            other_text,
            image_views=image_views,
            text_views=text_views,
            augment_heldout_terms=True,
        ),
        options.seconds,
        (image, text, other_image, other_text, image_views, text_views),
    )
    second = [unit(k + 10, rows, d) for k, rows in enumerate((n, n, h, h))]
    images, texts, other_images, other_texts = zip((image, text, other_image, other_text), second, strict=True)

    def table() -> Tensor:
        f, g = ((images[m] @ other_texts[m].T + texts[m] @ other_images[m].T) for m in range(2))
        return (f - g).std(1) / math.sqrt(h)

    yield compare(
        "CLIPMem, error from the held-out set, 2 models",
        table,
        lambda: clip_heldout_se(images, texts, other_images, other_texts, torch.tensor([1.0, -1.0])),
        options.seconds,
        (*images, *texts, *other_images, *other_texts),
    )


def multimem_rows(options: argparse.Namespace) -> Iterable[Row]:
    """MultiMem, CMC and its variants with three modalities."""
    n, h, v, d = options.samples, options.heldout, options.views, options.width
    names = ("image", "text", "audio")
    x = {j: unit(k, n, d) for k, j in enumerate(names)}
    z = {j: unit(k + 10, h, d) for k, j in enumerate(names)}
    views = {j: unit(k + 20, n, v, d) for k, j in enumerate(names)}

    alone = {j: own.unsqueeze(1) for j, own in x.items()}

    def cmc(drawn: dict[str, Tensor]) -> Tensor:
        own = sum((crossing(drawn[j], drawn[k]) for j in names for k in names if j != k), torch.full((n,), 3.0))
        return (own - sum(against(x[j], z[k]) for j in names for k in names)) / 2

    def pairs(drawn: dict[str, Tensor]) -> Tensor:
        return sum(
            crossing(drawn[j], drawn[k]) - against(x[j], z[k]) - against(x[k], z[j]) for j, k in combinations(names, 2)
        ) + torch.zeros(n)

    literal: dict[Variant, Callable[[dict[str, Tensor]], Tensor]] = {
        "cmc": cmc,
        "pairwise": lambda drawn: pairs(drawn) / 2,
        "mean_pair": lambda drawn: pairs(drawn) / 3,
    }
    for variant, formula in literal.items():
        yield compare(
            f"MultiMem {variant}, 3 modalities, no views",
            partial(formula, alone),
            partial(cross_modal_consistency, x, z, variant=variant),
            options.seconds,
            (*x.values(), *z.values()),
        )
        yield compare(
            f"MultiMem {variant}, 3 modalities, {v} views",
            partial(formula, views),
            partial(cross_modal_consistency, x, z, views=views, variant=variant),
            options.seconds,
            (*x.values(), *z.values(), *views.values()),
        )

    def table() -> Tensor:
        terms = torch.zeros(n, h)
        for j, k in product(names, names):
            terms += x[j] @ z[k].T
        return terms.std(1) / 2 / math.sqrt(h)

    yield compare(
        "MultiMem cmc, error from the held-out set, 1 model",
        table,
        lambda: multimem_heldout_se([x], [z], torch.ones(1)),
        options.seconds,
        (*x.values(), *z.values()),
    )


def other_rows(options: argparse.Namespace) -> Iterable[Row]:
    """SSLMem and UnitMem, where the formula itself is cheap."""
    n, v, d = options.samples, options.views, options.width
    views = unit(1, n, v, d)
    yield compare(
        f"SSL alignment, {v} views",
        lambda: -(views.unsqueeze(1) - views.unsqueeze(2)).norm(dim=-1).sum((1, 2)) / (v * (v - 1)),
        lambda: ssl_alignment(views),
        options.seconds,
        (views,),
    )
    fired = torch.randn(n, 4 * d, generator=torch.Generator().manual_seed(2)).relu()

    def leave_one_out() -> Tensor:
        top, row = fired.max(0)
        others = torch.ones_like(fired).scatter_(0, row.unsqueeze(0), 0.0)
        rest = (fired * others).sum(0) / (n - 1)
        return (top - rest) / (top + rest)

    yield compare(f"UnitMem, {4 * d} units", leave_one_out, lambda: unit_memorization(fired), options.seconds, (fired,))


def dejavu_rows(options: argparse.Namespace) -> Iterable[Row]:
    """Object recall: labels of Zipf's frequencies, on average seven a public picture and four a target."""
    generator = torch.Generator().manual_seed(3)
    n, k, labels, public = options.targets, options.neighbours, options.labels, options.public

    def draw(rows: int, mean: int) -> LabelSets:
        sizes = torch.randint(1, 2 * mean, (rows,), generator=generator)
        frequency = 1 / torch.arange(1, labels + 1)
        drawn = torch.multinomial(frequency, int(sizes.sum()), replacement=True, generator=generator)
        return LabelSets(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]), drawn, labels)

    def as_sets(found: LabelSets) -> list[set[int]]:
        ends, flat = found.offsets.tolist(), found.labels.tolist()
        return [set(flat[low:high]) for low, high in pairwise(ends)]

    pool, truth = draw(public, 7), draw(n, 4)
    neighbours = torch.randint(public, (n, k), generator=generator)
    pool_sets, truth_sets, rows = as_sets(pool), as_sets(truth), neighbours.tolist()

    def by_sets() -> Tensor:
        recall = []
        for wanted, row in zip(truth_sets, rows, strict=True):
            found = set().union(*[pool_sets[j] for j in row])
            hits = len(found & wanted)
            recall.append((hits / len(wanted), hits / len(found)))
        return torch.tensor(recall, dtype=torch.float64).T

    def ours() -> Tensor:
        found = object_recovery(neighbours, truth, pool)
        return torch.stack([found.recall, found.precision])

    yield compare(
        f"Deja Vu, {n:,} targets, k = {k}, {labels:,} labels",
        by_sets,
        ours,
        options.seconds,
        (neighbours,),
    )


SECTIONS = (clip_rows, multimem_rows, other_rows, dejavu_rows)


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (
        ("samples", 5000),
        ("heldout", 5000),
        ("width", 512),
        ("views", 4),
        ("targets", 100_000),
        ("neighbours", 100),
        ("labels", 1000),
        ("public", 50_000),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each side of each row; default 2")
    parser.add_argument("--by-torch", action="store_true", help="without the compiled loops, even where Numba is")
    parser.add_argument("--formulas-alone", action="store_true", help="leave out scoring against encoders, and growth")
    return parser.parse_args()


def main() -> None:
    """All sections in one table."""
    options = parse()
    console = Console()
    if options.by_torch:
        fused.usable = lambda: False
    title = (
        f"{options.samples:,} samples, {options.heldout:,} held out, d = {options.width}, float32, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{'compiled loops' if fused.usable() else 'no compiled loops'}"
    )
    table = Table("what", title=title)
    for column in ("literal (ms)", "ours (ms)", "ratio", "inputs read once (ms)", "bound", "difference"):
        table.add_column(column, justify="right")
    with console.status("timing"):
        for section in SECTIONS:
            for row in section(options):
                times = (f"{1e3 * row.literal:,.1f}", f"{1e3 * row.ours:,.2f}", f"{row.literal / row.ours:,.0f}x")
                times += (f"{1e3 * row.floor:,.2f}", f"{row.literal / row.floor:,.0f}x")
                table.add_row(row.what, *times, f"{row.difference:.0e}")
            table.add_section()
    console.print(table)
    if not options.formulas_alone:
        encoders.report(encoders.REPETITIONS)
        growth.report(growth.SIZES)


if __name__ == "__main__":
    main()
