"""What the run found, in one sentence with its uncertainty, and what the roles mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vestige.report.text import brief, finite, interval, number

Summary = Mapping[str, Any]

ROLES = ("candidate", "mixed", "independent", "shared", "external")
"""In the order shown: what is measured first, then its mirror, then the null."""

SAW_ALIKE = {"both": "shared", "neither": "external"}
LONGEST_NAME = 32


@dataclass(frozen=True)
class Claim:
    """One sentence in three parts: what is compared, the number, then its interval and the rest."""

    before: str
    effect: str
    after: str

    def __str__(self) -> str:
        return self.before + self.effect + self.after


def claim(summary: Summary) -> Claim:
    """The sentence the report opens with; it claims a difference only where the interval is above zero.

    Args:
        summary: with `roles` and `models`.
    """
    role = scored_role(summary)
    found = summary["roles"].get(role, {})
    mean, low, high = (finite(found.get(name)) for name in ("mean", "low", "high"))
    if mean is None:
        return Claim(
            "No sample that some models saw and others did not has a score: there is nothing to claim.", "", ""
        )
    if low is None or high is None:
        return Claim(_compared(summary, role, False), number(mean), f" (no interval can be given){_null(summary)}.")
    zero = ", and zero lies inside the interval" if low <= 0 <= high else ""
    rest = f" (95% interval {interval(low, high)}){zero}{_null(summary)}."
    return Claim(_compared(summary, role, low > 0), number(mean), rest)


def _compared(summary: Summary, role: str, above: bool) -> str:
    if len(summary["models"]) == 2 and role == "candidate":
        f, g = names(summary)
        if above:
            return f"{f} aligns the samples it alone saw better than {g} does, by "
        return f"{f} does not clearly align the samples it alone saw better than {g} does: the difference is "
    if above:
        return "Models align a sample better when they saw it in training, by "
    return "Models do not clearly align a sample better when they saw it in training: the difference is "


def names(summary: Summary) -> list[str]:
    """The models by names short enough for a sentence."""
    return [brief(str(model), LONGEST_NAME) for model in summary["models"]]


def _null(summary: Summary) -> str:
    """The same difference where there is nothing to memorize, which two models show on samples both or neither saw."""
    if len(summary["models"]) != 2:
        return ""
    means = {who: finite(summary["roles"].get(role, {}).get("mean")) for who, role in SAW_ALIKE.items()}
    shown = {who: number(mean) for who, mean in means.items() if mean is not None}
    return f"; on samples {' or '.join(shown)} saw, the difference is {' and '.join(shown.values())}" if shown else ""


def scored_role(summary: Summary) -> str:
    """The role that is ranked: candidates, or, where there are none, samples that some of many models saw."""
    return "mixed" if "mixed" in summary["roles"] and "candidate" not in summary["roles"] else "candidate"


def meaning(role: str, models: Sequence[str]) -> str:
    """Who saw the samples of a role."""
    if len(models) == 2:
        f, g = models
        words = {
            "candidate": f"seen by {f} only",
            "independent": f"seen by {g} only",
            "shared": f"seen by {f} and {g}",
            "external": "seen by neither",
        }
    else:
        words = {
            "candidate": "seen by the first model only",
            "independent": "seen by the last model only",
            "shared": "seen by every model",
            "external": "seen by no model",
        }
    return words.get(role, "seen by some of the models")
