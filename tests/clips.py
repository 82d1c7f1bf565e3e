"""Sounds and films that tests make themselves."""

import io

import numpy as np
import soundfile

from drawings import draw

RATE = 8_000


def tone(number: int, seconds: float = 1.0) -> bytes:
    """A WAV file: a tone and a little noise, different for every number."""
    t = np.arange(int(RATE * seconds)) / RATE
    noise = np.random.default_rng(number).normal(size=t.size)
    wave = 0.3 * np.sin(2 * np.pi * (200 + 37 * (number % 40)) * t) + 0.01 * noise
    file = io.BytesIO()
    soundfile.write(file, wave.astype(np.float32), RATE, format="WAV")
    return file.getvalue()


def film(number: int, frames: int = 5) -> bytes:
    """An animated GIF: the drawing of this number, turning."""
    picture, _ = draw(number)
    first, *rest = [picture.rotate(20 * step) for step in range(frames)]
    file = io.BytesIO()
    first.save(file, format="GIF", save_all=True, append_images=rest, duration=100)
    return file.getvalue()
