"""File endings by kind of signal. What a file really holds is seen when it is decoded."""

from collections.abc import Mapping

from vestige.samples import Modality

PICTURES = frozenset(["png", "jpg", "jpeg", "jfif", "jpe", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "avif"])
SOUNDS = frozenset(["wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "aac", "aif", "aiff", "wma"])
FILMS = frozenset(["mp4", "webm", "mkv", "avi", "mov", "m4v", "mpg", "mpeg", "ogv"])

MODALITIES: Mapping[str, Modality] = {
    ending: modality
    for modality, endings in ((Modality.IMAGE, PICTURES), (Modality.AUDIO, SOUNDS), (Modality.VIDEO, FILMS))
    for ending in endings
}
"""The kind of signal of an ending, lower case, without its dot."""
