"""Vestige measures what contrastive multi-modal models memorize of each training sample."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, load_config
    from vestige.curation.clean import CleanConfig, clean
    from vestige.curation.curve import CurveConfig, curve
    from vestige.curation.ranking import Ranking, rank
    from vestige.curation.suspicion import suspicion
    from vestige.data import Source, open_source
    from vestige.data.memory import SampleList
    from vestige.designs import Design, Role
    from vestige.embeddings import EmbeddingConfig, EmbeddingStore, TensorEmbeddings
    from vestige.errors import VestigeError
    from vestige.models import Encoder
    from vestige.models.blueprint import load_encoder
    from vestige.models.callables import CallableEncoder
    from vestige.models.openclip import OpenCLIPEncoder
    from vestige.recovery import RecoveryConfig
    from vestige.report.notebook import show
    from vestige.runs import RunResult, execute, train
    from vestige.samples import Modality, Sample
    from vestige.scoring import ScoreResult, score, score_embeddings, score_models
    from vestige.training.config import TrainingConfig
    from vestige.training.finetune import fine_tune
    from vestige.training.mitigations.config import MitigationConfig
    from vestige.training.mitigations.masking import TextMask
    from vestige.training.mitigations.noise import EmbeddingNoise
    from vestige.training.mitigations.temperature import fix_temperature
    from vestige.utility.evaluate import evaluate_encoder

__version__ = "0.1.0"

__all__ = [
    "CallableEncoder",
    "CleanConfig",
    "CurveConfig",
    "DataConfig",
    "Design",
    "DesignConfig",
    "EmbeddingConfig",
    "EmbeddingNoise",
    "EmbeddingStore",
    "Encoder",
    "MitigationConfig",
    "Modality",
    "OpenCLIPEncoder",
    "PlantConfig",
    "Ranking",
    "RecoveryConfig",
    "Role",
    "RunConfig",
    "RunResult",
    "Sample",
    "SampleList",
    "ScoreResult",
    "Source",
    "TensorEmbeddings",
    "TextMask",
    "TrainingConfig",
    "VestigeError",
    "clean",
    "curve",
    "evaluate_encoder",
    "execute",
    "fine_tune",
    "fix_temperature",
    "load_config",
    "load_encoder",
    "open_source",
    "rank",
    "score",
    "score_embeddings",
    "score_models",
    "show",
    "suspicion",
    "train",
]

# Where each public name lives. Loaded when first asked for: scores from stored embeddings need no model library.
_HOMES = {
    "CallableEncoder": "vestige.models.callables",
    "CleanConfig": "vestige.curation.clean",
    "CurveConfig": "vestige.curation.curve",
    "DataConfig": "vestige.config",
    "Design": "vestige.designs",
    "DesignConfig": "vestige.config",
    "EmbeddingConfig": "vestige.embeddings",
    "EmbeddingNoise": "vestige.training.mitigations.noise",
    "EmbeddingStore": "vestige.embeddings",
    "Encoder": "vestige.models",
    "MitigationConfig": "vestige.training.mitigations.config",
    "Modality": "vestige.samples",
    "OpenCLIPEncoder": "vestige.models.openclip",
    "PlantConfig": "vestige.config",
    "Ranking": "vestige.curation.ranking",
    "RecoveryConfig": "vestige.recovery",
    "Role": "vestige.designs",
    "RunConfig": "vestige.config",
    "RunResult": "vestige.runs",
    "Sample": "vestige.samples",
    "SampleList": "vestige.data.memory",
    "ScoreResult": "vestige.scoring",
    "Source": "vestige.data",
    "TensorEmbeddings": "vestige.embeddings",
    "TextMask": "vestige.training.mitigations.masking",
    "TrainingConfig": "vestige.training.config",
    "VestigeError": "vestige.errors",
    "clean": "vestige.curation.clean",
    "curve": "vestige.curation.curve",
    "evaluate_encoder": "vestige.utility.evaluate",
    "execute": "vestige.runs",
    "fine_tune": "vestige.training.finetune",
    "fix_temperature": "vestige.training.mitigations.temperature",
    "load_config": "vestige.config",
    "load_encoder": "vestige.models.blueprint",
    "open_source": "vestige.data",
    "rank": "vestige.curation.ranking",
    "score": "vestige.scoring",
    "score_embeddings": "vestige.scoring",
    "score_models": "vestige.scoring",
    "show": "vestige.report.notebook",
    "suspicion": "vestige.curation.suspicion",
    "train": "vestige.runs",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vestige' has no attribute {name!r}")
