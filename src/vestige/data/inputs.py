"""What a model reads of each medium: sizes that data is brought to, stated once for training and for scoring."""

from collections.abc import Mapping
from dataclasses import dataclass

from vestige.samples import Modality


@dataclass(frozen=True)
class PictureInput:
    """A square picture.

    Attributes:
        size: side in pixels.
    """

    size: int = 32


@dataclass(frozen=True)
class SoundInput:
    """A log-mel spectrogram.

    Attributes:
        rate: samples a second that sound is brought to, mono.
        frames: spectrogram frames that the model reads.
        mels: mel bands.
        window, hop: length of a frame and distance between frames, in samples.
    """

    rate: int = 16_000
    frames: int = 256
    mels: int = 64
    window: int = 400
    hop: int = 160

    @property
    def seconds(self) -> float:
        """Length of the sound that the model reads."""
        return self.frames * self.hop / self.rate


@dataclass(frozen=True)
class FilmInput:
    """Frames of a video.

    Attributes:
        frames: how many frames the model reads.
        size: side in pixels of the square it reads of each.
    """

    frames: int = 4
    size: int = 32


Input = PictureInput | SoundInput | FilmInput
Inputs = Mapping[Modality, Input]
"""By modality, what the model reads of it. Text is not here: it goes through the model's tokenizer."""
