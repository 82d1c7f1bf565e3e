"""The findings of a run as Markdown, for a paper's notes or an issue. Captions and names are text, never markup."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vestige.curation.suspicion import SUSPICION
from vestige.files import write_text
from vestige.finished import FinishedRun
from vestige.report.claim import ROLES, claim, meaning, names, scored_role
from vestige.report.text import MISSING, cut, finite, interval, number, percent, small, visible
from vestige.usefulness import Figure, usefulness

SHOWN = 20
LONGEST_CAPTION = 160
LONGEST_KEY = 80
# What CommonMark and GitHub give a meaning: inside a line (there also what makes a link of a text), at its beginning.
INSIDE = re.compile(r"[\\`*_\[\]|~$!]|:(?=//)|@(?!\d)|(?<=www)\.", re.IGNORECASE)
BEGINNING = re.compile(r"^(\d*)([#+\-=.)])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write_markdown(run: FinishedRun, out: Path, *, shown: int = SHOWN) -> None:
    """Write the claim, the roles, what was planted and found, utility, and the samples at the top of the lists.

    Args:
        run: a finished run.
        out: the file.
        shown: how many samples at most.
    """
    write_text(out, "\n\n".join(_parts(run, shown)) + "\n")


def escaped(text: str) -> str:
    """A text on one line in which nothing is markup: no link, no picture, no HTML, no cell of a table ends."""
    line = " ".join(str(visible(text)).split())
    line = re.sub("[&<>]", lambda found: ENTITIES[found[0]], line)
    return BEGINNING.sub(r"\1\\\2", INSIDE.sub(r"\\\g<0>", line))


def _parts(run: FinishedRun, shown: int) -> Iterable[str]:
    told = run.summary
    yield f"# What {escaped(str(told['model']))} memorized of {escaped(str(told['data']))}"
    yield escaped(str(claim(told)))
    yield (
        f"{told['samples']:,} samples in {told['groups']:,} groups, {told['skipped']:,} skipped; score:"
        f" {escaped(told['metric'])}; models: {', '.join(escaped(str(name)) for name in told['models'])};"
        f" seed {told['seed']}."
    )
    if told["warnings"]:
        yield "\n".join(f"- {escaped(warning)}" for warning in told["warnings"])
    # A single model compared with none gives no role a score.
    if any(finite(own["mean"]) is not None for own in told["roles"].values()):
        yield "## Roles"
        yield _table(("role", "who saw it", "n", "mean", "95% interval"), _roles(told))
    yield from _findings(told)
    figures = usefulness(run)
    if figures:
        yield "## Utility"
        yield _table(
            ("model", "task", "data", "measure", "value", "95% interval", "n", "chance"), map(_figure, figures)
        )
    if rows := _most(run, shown):
        yield "## Most memorized"
        yield _table(("", "score", "seen", "unseen", "q", "planted", "caption", "key"), rows)
    if rows := _suspicious(run, shown):
        yield "## Most suspicious"
        yield "Pairs that are probably wrong, whatever was memorized of them."
        yield _table(("", "suspicion", "role", "planted", "caption", "key"), rows)
    yield "## The run again"
    # A block that is indented cannot be ended by what stands in it.
    yield "    " + " ".join(str(visible(told["command"])).split())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _roles(told: Any) -> Iterable[Sequence[str]]:
    for role in (role for role in ROLES if role in told["roles"]):
        own = told["roles"][role]
        who = escaped(meaning(role, names(told)))
        yield role, who, f"{own['n']:,}", number(own["mean"]), interval(own["low"], own["high"])


def _findings(told: Any) -> Iterable[str]:
    if (found := told["memorized"]) is not None:
        yield (
            f"Memorized at a false discovery rate of {percent(found['fdr'], 0)}: {found['count']:,} of"
            f" {found['of']:,} candidates."
        )
    if (planted := told["planted"]) is not None:
        yield (
            f"{planted['n']:,} planted faults score {number(planted['mean'])}"
            f" ({interval(planted['low'], planted['high'])}), the others of their role"
            f" {number(planted['clean_mean'])} ({interval(planted['clean_low'], planted['clean_high'])}); AUC"
            f" {number(planted['auc'])} ({interval(planted['auc_low'], planted['auc_high'])})."
        )


def _figure(figure: Figure) -> Sequence[str]:
    return (
        *(escaped(own) for own in (figure.model, figure.task, figure.data, figure.measure)),
        number(figure.value),
        interval(figure.low, figure.high),
        MISSING if figure.n is None else f"{figure.n:,}",
        number(figure.chance),
    )


def _most(run: FinishedRun, shown: int) -> list[Sequence[str]]:
    metric, ranked = run.summary["metric"], scored_role(run.summary)
    columns = ["key", "role", metric, "align_in", "align_out", "q_value", "planted", "caption"]
    rows = [
        row
        for row in run.scores.select(columns).to_pylist()
        if row["role"] == ranked and finite(row[metric]) is not None
    ]
    best = sorted(rows, key=lambda row: -row[metric])[:shown]
    return [
        (
            str(rank),
            number(row[metric]),
            number(row["align_in"]),
            number(row["align_out"]),
            small(row["q_value"]).replace("<", "&lt;"),
            *_sample(row),
        )
        for rank, row in enumerate(best, start=1)
    ]


def _suspicious(run: FinishedRun, shown: int) -> list[Sequence[str]]:
    if SUSPICION not in run.scores.column_names:
        return []
    rows = run.scores.select(["key", "role", SUSPICION, "planted", "caption"]).to_pylist()
    best = sorted((row for row in rows if finite(row[SUSPICION]) is not None), key=lambda row: -row[SUSPICION])[:shown]
    return [
        (str(rank), number(row[SUSPICION]), escaped(row["role"]), *_sample(row))
        for rank, row in enumerate(best, start=1)
    ]


def _sample(row: dict[str, Any]) -> Sequence[str]:
    """Whether it was planted, its caption and its key."""
    caption = escaped(cut((row["caption"] or "").strip(), LONGEST_CAPTION))
    return "yes" if row["planted"] else "", caption, escaped(cut(row["key"], LONGEST_KEY))
