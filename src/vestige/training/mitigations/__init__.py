"""What makes models memorize less: one idea a file, each a small object that any training loop can call."""

from vestige.training.mitigations.config import MitigationConfig
from vestige.training.mitigations.masking import TextMask
from vestige.training.mitigations.noise import EmbeddingNoise
from vestige.training.mitigations.temperature import fix_temperature

__all__ = ["EmbeddingNoise", "MitigationConfig", "TextMask", "fix_temperature"]
