"""The log-mel spectrogram, literally: one frame, one frequency and one band at a time, float64."""

import math

import numpy as np


def hertz(mel: float) -> float:
    """Slaney's scale: 200/3 Hz a mel up to 1 kHz, then a factor of 6.4 in 27 mel."""
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def mel(frequency: float) -> float:
    return frequency * 3 / 200 if frequency < 1000 else 15 + 27 * math.log(frequency / 1000) / math.log(6.4)


def log_mel(waveform, rate: int, mels: int, window: int, hop: int) -> np.ndarray:
    length = 1
    while length < window:
        length *= 2
    edges = [hertz(mel(rate / 2) * place / (mels + 1)) for place in range(mels + 2)]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)]
    # The window lies in the middle of the transform.
    lead = (length - window) // 2
    frames = 1 + len(waveform) // hop
    result = np.zeros((mels, frames))
    for t in range(frames):
        samples = np.zeros(length)
        for n in range(window):
            place = t * hop - length // 2 + lead + n
            if 0 <= place < len(waveform):
                samples[lead + n] = hann[n] * float(waveform[place])
        power = np.abs(np.fft.rfft(samples)) ** 2
        for m in range(mels):
            low, centre, high = edges[m : m + 3]
            total = 0.0
            for f in range(length // 2 + 1):
                frequency = f * rate / length
                rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
                total += max(0.0, min(rising, falling)) * 2 / (high - low) * power[f]
            result[m, t] = math.log(max(1e-10, total))
    return result
