"""What a task is given: the samples, how to evaluate, and where embeddings are kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vestige.models import Encoder
from vestige.samples import Modality
from vestige.utility.embedded import Embedder, Part
from vestige.utility.figures import Figure
from vestige.utility.prompts import Prompts
from vestige.utility.settings import UtilityConfig
from vestige.utility.unfit import Unfit

MEDIA = tuple(modality for modality in Modality if modality != Modality.TEXT)

Found = Iterator[tuple[str, list[Figure]]]
"""(model, its figures), one after the other: what was found is kept before the next is begun."""


@dataclass(frozen=True)
class Job:
    """A source to evaluate on.

    Attributes:
        data: its name in the figures.
        test: the samples that figures are about.
        train: those a probe is trained on; where None, a probe divides `test`.
        config: how.
        prompts: the words of classes.
        embedder: where embeddings go.
    """

    data: str
    test: Part
    train: Part | None
    config: UtilityConfig
    prompts: Prompts
    embedder: Embedder

    def media_of(self, encoders: Mapping[str, Encoder]) -> list[Modality]:
        """The media that all models read and some sample has.

        Raises:
            Unfit: there are none.
        """
        read = [modality for modality in MEDIA if all(modality in own.modalities for own in encoders.values())]
        has = {modality for own in self.test.facts.modalities for modality in own}
        found = [modality for modality in read if modality in has]
        if not found:
            raise Unfit(
                f"{self.data}: the samples have {' and '.join(sorted(has)) or 'nothing'}, and the models read"
                f" {' and '.join(read) or 'text alone'}: name a source with that medium"
            )
        return found


def measure(name: str, modality: Modality, media: list[Modality]) -> str:
    """The name of a measure; it tells the medium where there are several."""
    return f"{name} {modality}" if len(media) > 1 else name
