"""Vestige measures what contrastive multi-modal models memorize of each training sample."""

from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, load_config
from vestige.data import Source, open_source
from vestige.data.memory import SampleList
from vestige.designs import Design, Role
from vestige.embeddings import EmbeddingConfig, EmbeddingStore, TensorEmbeddings
from vestige.errors import VestigeError
from vestige.models import Encoder
from vestige.models.callables import CallableEncoder
from vestige.models.openclip import OpenCLIPEncoder
from vestige.recovery import RecoveryConfig
from vestige.runs import RunResult, execute
from vestige.samples import Modality, Sample
from vestige.scoring import ScoreResult, score, score_embeddings, score_models
from vestige.training.loop import TrainingConfig

__version__ = "0.1.0"

__all__ = [
    "CallableEncoder",
    "DataConfig",
    "Design",
    "DesignConfig",
    "EmbeddingConfig",
    "EmbeddingStore",
    "Encoder",
    "Modality",
    "OpenCLIPEncoder",
    "PlantConfig",
    "RecoveryConfig",
    "Role",
    "RunConfig",
    "RunResult",
    "Sample",
    "SampleList",
    "ScoreResult",
    "Source",
    "TensorEmbeddings",
    "TrainingConfig",
    "VestigeError",
    "execute",
    "load_config",
    "open_source",
    "score",
    "score_embeddings",
    "score_models",
]
