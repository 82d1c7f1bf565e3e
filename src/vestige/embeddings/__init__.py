"""Models x samples: what the metrics need of each sample, in one pass over the data, in shards that resume.

Of every sample and modality j a store keeps

    <j>              x_j, the unit embedding of the un-augmented sample              [n, d]
    <j>_mean         mu_j, the mean over its augmented views of unit embeddings      [n, d]
    <j>_ssl          minus the mean distance between its views (SSLMem, eq. 1)       [n]
    <j>_ssl_anchor   minus the mean distance of the views to x_j                     [n]

    logits           what a classifier says of the un-augmented picture              [n, C]

and, where the units of the model are watched, the running state of UnitMem over the shard, by layer. No view is kept:
every metric that averages over views is a function of these. Views of a picture are random crops; views of a text are
the captions of its sample, each once. Samples with a single caption have no views of their text: mu_text is x_text and
the two scalars are NaN.
"""

from vestige.embeddings.config import EmbeddingConfig
from vestige.embeddings.embed import embed
from vestige.embeddings.store import (
    LOGITS,
    Embeddings,
    EmbeddingStore,
    JoinedEmbeddings,
    TensorEmbeddings,
    all_keys,
    chosen_rows,
)

__all__ = [
    "LOGITS",
    "EmbeddingConfig",
    "EmbeddingStore",
    "Embeddings",
    "JoinedEmbeddings",
    "TensorEmbeddings",
    "all_keys",
    "chosen_rows",
    "embed",
]
