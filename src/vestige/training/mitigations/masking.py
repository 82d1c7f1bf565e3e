"""Text masking while training (Jayaraman et al., "Déjà Vu Memorization in Vision-Language Models", 2024, section 5).

In every epoch a share of the tokens of each text is hidden, drawn by (seed, epoch, key). The paper masks "a fraction
of the text tokens" and does not say what stands in their place. Here a tokenizer with a mask token puts that; with
others, CLIP's among them, hidden tokens are dropped and the rest moves up, in order, as in OpenCLIP's own text masks
(`random`, which however drops tokens of over-long texts alone): no id of CLIP's vocabulary means "nothing", and 0 is
both its padding and the exclamation mark. CLIP reads the text at the end token, which stays, as do start and padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from vestige.data.examples import Drawn, Examples, Tokenize
from vestige.data.views import View, key_hashes, uniforms
from vestige.errors import VestigeError
from vestige.samples import Modality
from vestige.training.mitigations.around import Around
from vestige.training.mitigations.notes import Notes
from vestige.training.objectives import Objective


@dataclass(frozen=True)
class TextMask:
    """Hides a share of the tokens of every text, for any training loop.

    A text of n tokens loses share x n of them, rounded up or down at random such that the mean is right; never all.

    Attributes:
        share: of the tokens, from 0 to below 1.
        special: ids that are never hidden (start, end, padding, ...).
        end: the id that ends a text; what follows its first place is padding. None where texts have no such id.
        mask: the id that takes the place of hidden tokens; None to drop them.
        padding: the id of what is after the text.
    """

    share: float
    special: frozenset[int]
    end: int | None
    mask: int | None = None
    padding: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share: of the tokens, from 0 to below 1, not {self.share}")

    @classmethod
    def of(cls, tokenizer: Tokenize, share: float) -> "TextMask":
        """The mask that goes with one of OpenCLIP's tokenizers.

        Raises:
            VestigeError: some other tokenizer, whose special tokens are unknown.
        """
        if isinstance(tokenizer, open_clip.SimpleTokenizer):
            return cls(share, frozenset(tokenizer.all_special_ids), tokenizer.eot_token_id)
        if isinstance(tokenizer, HFTokenizer):
            own = tokenizer.tokenizer
            special = {own.bos_token_id, own.eos_token_id, own.pad_token_id, own.cls_token_id, own.sep_token_id}
            # An unknown word is text, like any other.
            special |= set(own.all_special_ids) - {own.unk_token_id}
            end = own.eos_token_id if own.eos_token_id is not None else own.sep_token_id
            return cls(share, frozenset(special - {None}), end, own.mask_token_id, own.pad_token_id or 0)
        raise VestigeError(
            f"the special tokens of a {type(tokenizer).__name__} are unknown: give their ids, TextMask(share, special,"
            " end)"
        )

    def __call__(self, tokens: Tensor, draws: Tensor | None = None) -> Tensor:
        """The texts with some tokens hidden, [B, L].

        Args:
            tokens: [B, L].
            draws: uniform numbers in [0, 1), [B, L + 1] (`token_draws`); from torch's generator when not given.
        """
        hidden = self.hidden(tokens, torch.rand(len(tokens), tokens.shape[1] + 1) if draws is None else draws)
        if self.mask is not None:
            return tokens.masked_fill(hidden, self.mask)
        # What is dropped becomes padding right after the end: [text, end, dropped, padding], each in its order.
        after = torch.zeros_like(tokens) if self.end is None else _after_first(tokens, self.end)
        order = torch.where(hidden, 1, 2 * after).argsort(dim=1, stable=True)
        return tokens.masked_fill(hidden, self.padding).gather(1, order)

    def hidden(self, tokens: Tensor, draws: Tensor) -> Tensor:
        """Which tokens are hidden, bool [B, L]."""
        text = self.text(tokens)
        count = text.sum(dim=1)
        draws = draws.to(tokens.device)
        # The last draw of a text rounds.
        hide = torch.minimum((self.share * count + draws[:, -1]).floor().long(), (count - 1).clamp(min=0))
        rank = draws[:, :-1].masked_fill(~text, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
        return text & (rank < hide[:, None])

    def text(self, tokens: Tensor) -> Tensor:
        """Which tokens are text, bool [B, L]: neither special nor after the end."""
        text = ~torch.isin(tokens, torch.tensor(sorted(self.special), device=tokens.device))
        return text if self.end is None else text & (_after_first(tokens, self.end) == 0)


def token_draws(seed: int, epoch: int, keys: Sequence[str], length: int) -> Tensor:
    """The draws of `TextMask` for texts of `length` tokens, by seed, epoch and key alone; [B, length + 1]."""
    return _draws(View(seed, epoch), key_hashes(keys), length)


def _draws(view: View, hashes: NDArray[np.uint64], length: int) -> Tensor:
    return torch.from_numpy(uniforms(view, hashes, length + 1, stream="mask"))


def _after_first(tokens: Tensor, end: int) -> Tensor:
    """1 behind the first `end` of a row, else 0; long [B, L]."""
    found = tokens == end
    return ((found.cumsum(dim=1) - found.long()) > 0).long()


class Masked(Around):
    """An objective that sees texts with some tokens hidden; samples that models share are masked alike.

    Args:
        inner: the objective.
        mask: hides tokens.
        notes: is told of how many tokens (`text_mask/tokens`) how many were hidden (`text_mask/hidden`).
    """

    def __init__(self, inner: Objective, mask: TextMask, notes: Notes) -> None:
        super().__init__(inner)
        self._mask, self._notes = mask, notes

    def draw(self, examples: Examples, positions: NDArray[np.int64], view: View) -> tuple[Drawn, ...]:
        return tuple(self._masked(examples, own, view) for own in self.inner.draw(examples, positions, view))

    def _masked(self, examples: Examples, drawn: Drawn, view: View) -> Drawn:
        tokens = drawn.tensors[Modality.TEXT]
        having = drawn.positions[drawn.present[Modality.TEXT]].numpy()
        draws = _draws(view, cast(NDArray[np.uint64], examples.hashes[having]), tokens.shape[1])
        hidden, text = self._mask.hidden(tokens, draws).sum(), self._mask.text(tokens).sum()
        self._notes.add({"text_mask/hidden": float(hidden), "text_mask/tokens": float(text)})
        return Drawn(drawn.positions, {**drawn.tensors, Modality.TEXT: self._mask(tokens, draws)}, drawn.present)
