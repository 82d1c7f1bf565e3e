"""Asterisk's prompts: a speaker's recordings with transcripts, 8 kHz (Allison Smith, Digium: CC BY-SA 3.0)."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from vestige.data.builtin.cache import file_names, require
from vestige.data.builtin.packages import ASTERISK_TEXT, ASTERISK_WAV
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

TRANSCRIPTS = "core-sounds-en.txt"


class Asterisk:
    """Speech with its transcript; the key is the publisher's name of the prompt.

    Prompts with the same words share a group, whatever their case and punctuation. Tones and silences are described
    in brackets instead of transcribed.
    """

    def __init__(self) -> None:
        sounds = require(ASTERISK_WAV, "asterisk") / ASTERISK_WAV.parts[0]
        texts = require(ASTERISK_TEXT, "asterisk") / ASTERISK_TEXT.parts[0]
        recordings = {name.removesuffix(".wav"): sounds / name for name in file_names(sounds, ".wav")}
        self._captions = _transcripts(texts)
        self._recordings = {key: recordings[key] for key in sorted(recordings) if self._captions.get(key)}
        self._skipped = [(key, "no transcript") for key in sorted(recordings) if not self._captions.get(key)]
        self._skipped += [(key, "no recording") for key in self._captions if key not in recordings]
        self._keys = tuple(self._recordings)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> Sequence[str]:
        return self._keys

    def samples(self, keys: Sequence[str]) -> Iterator[Sample]:
        for key in keys:
            caption = self._captions[key]
            yield Sample(key, _words(caption) or key, {Modality.AUDIO: self._recordings[key]}, (caption,))

    def skipped(self) -> Sequence[tuple[str, str]]:
        return self._skipped


def _transcripts(folder: Path) -> dict[str, str]:
    """`name: words` a line; lines with a semicolon are comments."""
    packed, plain = folder / f"{TRANSCRIPTS}.gz", folder / TRANSCRIPTS
    try:
        text = (gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise VestigeError(f"{packed}: the transcripts cannot be read ({error}): fetch asterisk again") from error
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith(";"))
    return {name.strip(): " ".join(words.split()) for name, _, words in pairs}


def _words(text: str) -> str:
    kept = "".join(sign if sign.isalnum() or sign == "'" else " " for sign in text.casefold())
    return " ".join(kept.split())
