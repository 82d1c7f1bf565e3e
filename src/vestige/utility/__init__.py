"""What a model is still good for: linear probe, zero-shot classification, retrieval.

Pure functions of tensors, and `evaluate_encoder` for an encoder and a source.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige.utility.accuracy import top_hits
    from vestige.utility.evaluate import evaluate_encoder
    from vestige.utility.figures import Figure
    from vestige.utility.lars import LarsConfig, lars_probe
    from vestige.utility.logistic import Logistic, fit_logistic
    from vestige.utility.precision import mean_average_precision
    from vestige.utility.probe import Probe, exact_probe
    from vestige.utility.prompts import Prompts
    from vestige.utility.retrieval import chance, fused, retrieval_ranks
    from vestige.utility.settings import UtilityConfig
    from vestige.utility.shares import Share, class_mean_share, share
    from vestige.utility.splits import split_groups
    from vestige.utility.zero_shot import class_embeddings, zero_shot_scores

__all__ = [
    "Figure",
    "LarsConfig",
    "Logistic",
    "Probe",
    "Prompts",
    "Share",
    "UtilityConfig",
    "chance",
    "class_embeddings",
    "class_mean_share",
    "evaluate_encoder",
    "exact_probe",
    "fit_logistic",
    "fused",
    "lars_probe",
    "mean_average_precision",
    "retrieval_ranks",
    "share",
    "split_groups",
    "top_hits",
    "zero_shot_scores",
]

# Where each name lives. Loaded when first asked for: the functions of tensors need torch alone, the tasks need sources.
_HOMES = {
    "Figure": "figures",
    "LarsConfig": "lars",
    "Logistic": "logistic",
    "Probe": "probe",
    "Prompts": "prompts",
    "Share": "shares",
    "UtilityConfig": "settings",
    "class_embeddings": "zero_shot",
    "class_mean_share": "shares",
    "chance": "retrieval",
    "evaluate_encoder": "evaluate",
    "exact_probe": "probe",
    "fit_logistic": "logistic",
    "fused": "retrieval",
    "lars_probe": "lars",
    "mean_average_precision": "precision",
    "retrieval_ranks": "retrieval",
    "share": "shares",
    "split_groups": "splits",
    "top_hits": "accuracy",
    "zero_shot_scores": "zero_shot",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"vestige.utility.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vestige.utility' has no attribute {name!r}")
