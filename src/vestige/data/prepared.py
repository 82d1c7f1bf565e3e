"""A source with the files that lie beside it: objects, and captions made by machines."""

from collections.abc import Sequence
from pathlib import Path

from vestige.data import Source
from vestige.data.generation.captions import with_captions
from vestige.data.objects import with_objects
from vestige.errors import VestigeError


def prepared_source(
    source: Source,
    *,
    objects: Path | None = None,
    objects_threshold: float = 0.0,
    synonyms: Path | None = None,
    extra_captions: Sequence[Path] = (),
) -> Source:
    """The source with what these files say of its samples.

    Args:
        source: the samples.
        objects: file of objects (`vestige.data.objects.read_objects`).
        objects_threshold: least score of an object that counts.
        synonyms: file of synonyms for the objects' names.
        extra_captions: files of captions, added in this order after each sample's own.

    Raises:
        VestigeError: a file cannot be used, or synonyms are given without objects.
    """
    if synonyms is not None and objects is None:
        raise VestigeError("synonyms are of objects: name the file of objects too")
    if objects is not None:
        source = with_objects(source, objects, threshold=objects_threshold, synonyms=synonyms)
    for path in extra_captions:
        source = with_captions(source, path)
    return source
