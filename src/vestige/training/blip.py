"""BLIP's objectives without writing: pictures and texts are contrasted, and matched by an encoder that sees both.

    L = ITC + ITM                                                          (Li et al., 2022, section 3.2)

ITC is CLIP's symmetric cross-entropy over the batch. ITM is the cross-entropy of "do these match", over every pair of
the batch, every picture with a wrong text, and every text with a wrong picture. The wrong ones are hard: drawn from
the batch with the probabilities of the contrast. A sample whose text is the same is never drawn as a wrong one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip import ClipLoss
from torch import Tensor, nn
from torch.nn import functional

from vestige.data.examples import Drawn, Examples, Rows
from vestige.data.views import View
from vestige.models.blip import Blip
from vestige.samples import Modality
from vestige.training.objectives import Features, clamp_logit_scales


class ContrastAndMatch:
    """The sum of both losses.

    What the matching needs of a sample (its patches and its tokens) are features like its embeddings: so negatives are
    those of the whole batch, however it is parted among chunks and processes. The fused pass is not parted.
    """

    def __init__(self) -> None:
        self._contrast = ClipLoss()

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return (examples.draw(positions, view),)

    def features(self, model: nn.Module, views: Sequence[Drawn], device: str) -> Features:
        assert isinstance(model, Blip)
        pictures, tokens = (views[0].tensors[m].to(device) for m in (Modality.IMAGE, Modality.TEXT))
        patches = model.patches(pictures)
        return {
            str(Modality.IMAGE): model.picture_embedding(patches),
            str(Modality.TEXT): model.text_embedding(tokens),
            "patches": patches,
            # Features are numbers; ids are small enough to be exact.
            "tokens": tokens.float(),
        }

    def loss(self, model: nn.Module, features: Features, rows: Rows) -> Tensor:
        assert isinstance(model, Blip)
        image, text = (functional.normalize(features[str(m)], dim=-1) for m in (Modality.IMAGE, Modality.TEXT))
        scale = model.logit_scale.exp()
        patches, tokens = features["patches"], features["tokens"].long()
        with torch.no_grad():
            similarity = scale * image @ text.T
            same = (tokens[:, None] == tokens[None]).all(dim=-1)
            pictures, wrong_texts = hard_negatives(similarity, same)
            texts, wrong_pictures = hard_negatives(similarity.T, same)
        every = torch.arange(len(tokens), device=tokens.device)
        seen, read = torch.cat([every, pictures, wrong_pictures]), torch.cat([every, wrong_texts, texts])
        match = torch.cat([torch.ones_like(every), torch.zeros_like(pictures), torch.zeros_like(texts)])
        matching = functional.cross_entropy(model.match(patches[seen], tokens[read]).float(), match)
        return self._contrast(image, text, scale) + matching

    def after_step(self, model: nn.Module, done: float) -> None:
        clamp_logit_scales(model)


def hard_negatives(similarity: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """For every row a column that is none of its own, drawn from the softmax of its similarities to the others.

    Args:
        similarity: logits, [B, B].
        same: which columns are a row's own, bool [B, B].

    Returns:
        (rows that have such a column, its column), long [b] each; b is B unless all columns are a row's own.
    """
    logits = similarity.masked_fill(same, -torch.inf)
    rows = (~same).any(dim=1).nonzero().flatten()
    if not len(rows):
        return rows, rows
    return rows, torch.multinomial(logits[rows].softmax(dim=1), 1).flatten()
