"""Mitigation against its baseline: what two runs train differently, what that does to memorization, and its price."""

from collections.abc import Sequence
from typing import Any

from vestige.comparison import Comparison
from vestige.report.markup import table
from vestige.report.section import Section
from vestige.report.text import MISSING, cut, finite, interval, number, percent
from vestige.usefulness import Figure

# What is done to a model in training. Everything else that differs is another experiment.
TRAINING = ("training.", "augmentation.")
LONGEST_VALUE = 80


def mitigation(comparison: Comparison) -> Section | None:
    """The table of a comparison whose runs differ in how they train; None where they do not."""
    own = [row for row in comparison.settings if row[0].startswith(TRAINING)]
    if not own:
        return None
    others = [name for name, *_ in comparison.settings if not name.startswith(TRAINING)]
    note = (
        "What is trained differently in B, then what that changes: memorization by role, where B should be lower, and"
        " utility of the first model, where it should not. The change of a mean is over the samples that have the role"
        " in both runs."
    )
    if others:
        note += f" Beware: {', '.join(others)} differ too, so the change is not that of training alone."
    rows = [(cut(name, LONGEST_VALUE), _value(one), _value(other), MISSING) for name, one, other in own]
    rows += [row for role in ("candidate", "mixed", "independent", "external") for row in _memorized(comparison, role)]
    trained = comparison.a.summary["models"][0]
    rows += [_figure(a, b) for a, b in comparison.useful if a and b and a.model == trained]
    return Section(
        title="Mitigation against baseline",
        note=note,
        html=table("Training settings, memorization and utility of A and B", ("", "A", "B", "change"), rows),
    )


def _memorized(comparison: Comparison, role: str) -> list[Sequence[str]]:
    first, second = comparison.roles.get(role, (None, None))
    change = comparison.changes[role]
    if first is None or second is None or change is None:
        return []
    means = [f"{number(own['mean'])} [{interval(own['low'], own['high'])}]" for own in (first, second)]
    moved = f"{number(change.mean)} [{interval(change.low, change.high)}]"
    # A share of nothing is no number: the baseline has to be told from zero.
    low = finite(first["low"])
    if low is not None and low > 0 and change.n == first["n"] == second["n"]:
        moved += f", {percent(change.mean / first['mean'], 0)}"
    return [(f"mean {comparison.metric}, {role}", *means, moved)]


def _figure(first: Figure, second: Figure) -> Sequence[str]:
    change = f"{number(second.value - first.value)}"
    return f"{first.measure}, {first.model}, {first.task}, {first.data}", _measured(first), _measured(second), change


def _measured(figure: Figure) -> str:
    known = figure.low is not None and figure.high is not None
    return number(figure.value) + (f" [{interval(figure.low, figure.high)}]" if known else "")


def _value(value: Any) -> str:
    return cut(MISSING if value is None else str(value), LONGEST_VALUE)
