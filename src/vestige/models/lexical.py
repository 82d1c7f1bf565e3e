"""A reference of texts that needs no download, and is no language model: latent semantic analysis of spellings.

    x = U^T tfidf(t) / |U^T tfidf(t)|

tfidf counts the runs of 2 to 5 characters within the words of t, U holds the leading directions of the texts it was
fitted to (Deerwester et al., "Indexing by latent semantic analysis", 1990). Captions lie near each other when they
share spellings; of synonyms it knows what its texts show together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn

from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.files import digest
from vestige.samples import Modality, Sample

DIMENSIONS = 256
SPELLINGS = 2**16


class LexicalEncoder:
    """Texts by their spellings, reduced to the leading directions of those it was fitted to.

    A text that shares no spelling with them is the zero vector, as near to one as to another.

    Args:
        texts: what it is fitted to; for the one-model test the captions of the public samples.
        dimensions: how many directions, at most.
        seed: of the randomised decomposition (Halko, Martinsson and Tropp, 2011).

    Raises:
        VestigeError: too few texts.
    """

    modalities = (Modality.TEXT,)

    def __init__(self, texts: Sequence[str], *, dimensions: int = DIMENSIONS, seed: int = 0) -> None:
        self._spellings: Any = TfidfVectorizer(
            analyzer="char_wb",
            ngram_range=(2, 5),
            sublinear_tf=True,
            max_features=SPELLINGS,
            dtype=cast(Any, np.float32),
        )
        different = sorted(set(texts))
        if len(different) < 3:
            raise VestigeError(f"the lexical reference is fitted to captions, found {len(different)} different ones")
        try:
            counts = self._spellings.fit_transform(different)
        except ValueError as error:
            raise VestigeError(f"the lexical reference cannot be fitted: {error}") from error
        found = TruncatedSVD(min(dimensions, *(size - 1 for size in counts.shape)), random_state=seed).fit(counts)
        self._directions = np.asarray(found.components_)
        self.preprocessing = digest("lexical", str(seed), str(dimensions), *different)
        self.fingerprint = self.preprocessing

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        if not sample.captions:
            return {}
        placed = self._spellings.transform([sample.captions[0]]) @ self._directions.T
        return {Modality.TEXT: torch.from_numpy(np.asarray(placed[0], dtype=np.float32))}

    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return {Modality.TEXT: nn.functional.normalize(batch[Modality.TEXT], dim=-1)}
