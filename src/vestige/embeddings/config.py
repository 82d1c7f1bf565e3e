"""How samples are embedded: the settings."""

from dataclasses import dataclass

import torch

from vestige.errors import VestigeError

STORAGE = {"float32": torch.float32, "float16": torch.float16}
"""Precisions on disk."""


@dataclass(frozen=True)
class EmbeddingConfig:
    """How samples are embedded."""

    views: int = 0
    """Views of each medium (random crops, shifts in time); 0 takes what is not augmented alone."""
    captions: str = "first"
    """Texts of a sample: first, or pool (each of its captions is a view)."""
    batch_size: int = 256
    """Samples in a forward pass."""
    shard_size: int = 4096
    """Samples in a file: what is done again when a run is killed."""
    storage: str = "float32"
    """Precision on disk: float32, or float16 (half the space, errors of about 1e-4 in a similarity)."""
    device: str = "cpu"
    """Where the models compute."""

    def __post_init__(self) -> None:
        for name, known in (("captions", ("first", "pool")), ("storage", tuple(STORAGE))):
            if getattr(self, name) not in known:
                raise VestigeError(f"embedding.{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name, least in (("views", 0), ("batch_size", 1), ("shard_size", 1)):
            if getattr(self, name) < least:
                raise VestigeError(f"embedding.{name} must be at least {least}, not {getattr(self, name)}")
