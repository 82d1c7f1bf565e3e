"""Captions and media exchanged among samples, so that all of the chosen ones are wrong."""

from collections.abc import Callable, Sequence

import numpy as np

from vestige.data.plant.record import Fault, Kind, Planted
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample


def exchange_captions(
    keys: Sequence[str],
    groups: Sequence[str],
    captions: Sequence[tuple[str, ...]],
    *,
    count: int,
    seed: int,
) -> Planted:
    """Choose samples at random and give each the captions of another of them, of another group and other words.

    Args:
        keys, groups, captions: the samples to choose from (in a `roles` design: the candidates).
        count: how many samples get wrong captions; 0 for none, else at least 2.
        seed: of the draw.

    Raises:
        VestigeError: more asked for than there are, or too few different captions to exchange.
    """

    def wrong(sample: int, donor: int) -> bool:
        return groups[sample] != groups[donor] and not set(captions[sample]) & set(captions[donor])

    pairs = _exchanged(len(keys), count, seed, wrong, "captions", "share a group or a caption")
    return Planted(
        tuple(
            Fault(keys[sample], Kind.CAPTIONS, keys[donor], captions[donor], captions[sample])
            for sample, donor in pairs
        )
    )


def exchange_media(samples: Sequence[Sample], modality: Modality, *, count: int, seed: int) -> Planted:
    """Choose samples at random and give each one medium of another of them, of another group.

    Args:
        samples: the samples to choose from; those without the medium are passed over.
        modality: image, audio or video.
        count: how many samples get a wrong medium; 0 for none, else at least 2.
        seed: of the draw.

    Raises:
        VestigeError: text is asked for, or more than there are, or too few different media to exchange.
    """
    if modality == Modality.TEXT:
        raise VestigeError("plant: text is exchanged as captions, not as a medium")
    having = [sample for sample in samples if modality in sample.media]

    def wrong(sample: int, donor: int) -> bool:
        one, other = having[sample], having[donor]
        return one.group != other.group and one.media[modality] != other.media[modality]

    pairs = _exchanged(len(having), count, seed, wrong, modality, "share a group or a file")
    return Planted(tuple(Fault(having[one].key, Kind(modality), having[other].key) for one, other in pairs))


def _exchanged(
    total: int, count: int, seed: int, wrong: Callable[[int, int], bool], what: str, alike: str
) -> list[tuple[int, int]]:
    """(sample, donor) of `count` of `total` samples, each of them a donor once."""
    if count == 0:
        return []
    if not 2 <= count <= total:
        raise VestigeError(
            f"plant.{what}: {count} of {total} candidates cannot exchange {what}: ask for 0, or for 2 to {total}"
        )
    draw = np.random.Generator(np.random.Philox(seed))
    chosen: list[int] = draw.permutation(total)[:count].tolist()
    # Everyone takes from the next; a pair that would not be wrong is swapped with the first that mends both.
    donors = chosen[1:] + chosen[:1]
    for place, sample in enumerate(chosen):
        if wrong(sample, donors[place]):
            continue
        swap = next(
            (o for o, other in enumerate(chosen) if wrong(sample, donors[o]) and wrong(other, donors[place])), None
        )
        if swap is None:
            raise VestigeError(
                f"plant.{what}: {count} of them cannot be exchanged so that all are wrong: too many of the chosen"
                f" samples {alike}; plant fewer"
            )
        donors[place], donors[swap] = donors[swap], donors[place]
    return list(zip(chosen, donors, strict=True))
