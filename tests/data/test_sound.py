"""Waveforms of every container and codec, and their spectrograms against the literal formula."""

import io
import math
import os
import sys

import numpy as np
import pytest
import soundfile
import soxr
import torch
from PIL import Image
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from oracles.log_mel import log_mel as literal
from recordings import film, sound, soundfile_bytes, tone
from vestige.data import sound as sound_module
from vestige.data.inputs import SoundInput
from vestige.data.media import UnreadableMedia
from vestige.data.sound import SILENCE, decode_sound, frame_count, log_mel, mel_filters
from vestige.errors import VestigeError

RATE = 16_000


@pytest.mark.parametrize(
    ("form", "subtype", "error"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "FLOAT", 1e-6),
        ("WAV", "DOUBLE", 1e-6),
        ("WAV", "ULAW", 2e-2),
        ("AIFF", "PCM_16", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 2e-2),
        ("OGG", "OPUS", 4e-2),
        ("MP3", None, 4e-2),
    ],
)
def test_libsndfile_formats(form, subtype, error):
    found = decode_sound(soundfile_bytes(tone(RATE, 1.0), RATE, form, subtype), RATE)
    assert found.dtype == np.float32
    assert found.shape == (RATE,)
    assert np.abs(found - tone(RATE, 1.0))[500:-500].max() < error


@pytest.mark.parametrize(
    ("form", "codec", "rate", "error"),
    [
        ("mp4", "aac", 44_100, 4e-2),
        ("webm", "libopus", 48_000, 2e-2),
        ("mp3", "libmp3lame", 44_100, 4e-2),
        ("matroska", "flac", 44_100, 1e-3),
        ("mp4", "alac", 44_100, 1e-3),
        ("mov", "pcm_s16le", 22_050, 1e-3),
        ("mov", "pcm_s24le", 22_050, 1e-3),
        ("mov", "pcm_u8", 22_050, 1e-2),
        ("mov", "pcm_f64le", 8_000, 1e-3),
        ("avi", "pcm_s16le", 8_000, 1e-3),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_ffmpeg_formats(form, codec, rate, error, channels):
    data = sound(form, codec, rate, np.stack([tone(rate, 1.0)] * channels))
    found = decode_sound(data, RATE)
    assert RATE <= len(found) < 1.1 * RATE
    assert np.abs(found[:RATE] - tone(RATE, 1.0))[1000:-1000].max() < error


def test_adts_streams_are_read():
    """AAC without a container, whose sync word is nearly that of MP3; it states no delay to cut off."""
    found = decode_sound(sound("adts", "aac", RATE, tone(RATE, 1.0)[None]), RATE)
    assert np.abs(found).max() == pytest.approx(0.5, abs=0.05)
    assert len(found) == pytest.approx(RATE, abs=2100)


def test_the_sound_track_of_a_film(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(film(sound=True))
    found = decode_sound(tmp_path / "clip.mp4", RATE)
    assert np.abs(found[:RATE] - tone(RATE, 1.0))[2000:-2000].max() < 4e-2
    with pytest.raises(UnreadableMedia, match="no sound track"):
        decode_sound(film(), RATE)


@pytest.mark.parametrize("kind", ["soundfile", "av"])
def test_channels_are_averaged(kind):
    left, right = tone(RATE, 0.5, 300), tone(RATE, 0.5, 2000)
    if kind == "soundfile":
        data = soundfile_bytes(np.stack([left, right, 0 * left], axis=1), RATE, "FLAC")
        expected = (left + right) / 3
    else:
        data, expected = sound("mov", "pcm_s16le", RATE, np.stack([left, right])), (left + right) / 2
    np.testing.assert_allclose(decode_sound(data, RATE), expected, atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_resampling_is_soxrs(rate):
    """In blocks, as at once."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * rate).astype(np.float32)
    found = decode_sound(soundfile_bytes(noise, rate, "WAV", "FLOAT"), RATE)
    np.testing.assert_allclose(found, soxr.resample(noise, rate, RATE), atol=1e-6)
    assert len(found) == 3 * RATE


def test_loud_floats_are_clipped_and_louder_ones_refused():
    found = decode_sound(soundfile_bytes(tone(RATE, 0.1, peak=3.0), RATE, "WAV", "FLOAT"), RATE)
    assert (found.min(), found.max()) == (-1, 1)
    with pytest.raises(UnreadableMedia, match="samples reach 3276"):
        decode_sound(soundfile_bytes(tone(RATE, 0.1, peak=32767), RATE, "WAV", "FLOAT"), RATE)


def with_value(value: float) -> bytes:
    waveform = tone(RATE, 0.1)
    waveform[700] = value
    return soundfile_bytes(waveform, RATE, "WAV", "FLOAT")


def with_rate(rate: int) -> bytes:
    data = bytearray(soundfile_bytes(tone(RATE, 0.1), RATE, "WAV"))
    data[24:28] = rate.to_bytes(4, "little")
    return bytes(data)


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("medium", "said"),
    [
        (b"", "empty"),
        (b"no sound" * 99, "not a readable film or sound"),
        (Image.new("RGB", (3, 3)), "a picture, not a sound"),
        (with_value(float("nan")), "not finite"),
        (with_value(float("inf")), "not finite"),
        (with_rate(3), "3 samples a second"),
        (soundfile_bytes(np.zeros(0, np.float32), RATE, "WAV"), "no samples"),
        (soundfile_bytes(NOISE, RATE, "WAV")[:50_000], "the file was cut: 50,000 of 96,044 bytes"),
        (soundfile_bytes(NOISE, RATE, "FLAC")[:50_000], "ends after|damaged"),
        (sound("mp4", "aac", RATE, NOISE[None])[:9000], "not a readable film or sound"),
    ],
    ids=["empty", "text", "picture", "nan", "inf", "3 Hz", "no samples", "cut wav", "cut flac", "cut mp4"],
)
def test_what_is_not_a_sound_says_why(medium, said):
    with pytest.raises(UnreadableMedia, match=said) as error:
        decode_sound(medium, RATE)
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(UnreadableMedia, match="No such file"):
        decode_sound(tmp_path / "none.wav", RATE)
    with pytest.raises(UnreadableMedia, match="directory"):
        decode_sound(tmp_path, RATE)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnreadableMedia, match="pipe"):
        decode_sound(tmp_path / "pipe.wav", RATE)


def test_lengths_that_writers_to_pipes_state_are_not_believed():
    data = bytearray(soundfile_bytes(tone(RATE, 0.5), RATE, "WAV"))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert len(decode_sound(bytes(data), RATE)) == RATE // 2


@pytest.mark.parametrize("form", ["WAV", "mov"])
def test_the_limit(monkeypatch, form):
    monkeypatch.setattr(sound_module, "LONGEST_SOUND", 1.0)
    waveform = tone(RATE, 1.2)
    data = soundfile_bytes(waveform, RATE, "WAV") if form == "WAV" else sound("mov", "pcm_s16le", RATE, waveform[None])
    with pytest.raises(UnreadableMedia, match="longer than 1 s"):
        decode_sound(data, RATE)


@pytest.mark.parametrize("library", ["soundfile", "soxr", "av"])
def test_without_a_library_the_extra_is_named(monkeypatch, library):
    data = sound("mp4", "aac", RATE, tone(RATE, 0.2)[None])
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(VestigeError, match=rf"'{library}'.*vestige\[audio-video\]"):
        decode_sound(data, RATE)


@pytest.mark.parametrize(
    "about", [SoundInput(mels=20, window=200, hop=80), SoundInput(rate=8000, mels=16, window=256, hop=100)]
)
@pytest.mark.parametrize("samples", [1, 99, 1000])
def test_spectrograms_are_the_literal_formula(about, samples):
    waveform = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    found = log_mel(torch.from_numpy(waveform), about)
    expected = literal(waveform, about.rate, about.mels, about.window, about.hop)
    assert found.dtype == torch.float32
    assert found.shape == (about.mels, frame_count(samples, about)) == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_spectrograms_are_those_of_transformers():
    about = SoundInput()
    waveform = np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32)
    filters = mel_filter_bank(257, about.mels, 0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(RATE, 512, about.mels).numpy(), filters.T, atol=1e-12)
    theirs = spectrogram(
        waveform,
        window_function(about.window, "hann"),
        about.window,
        about.hop,
        fft_length=512,
        pad_mode="constant",
        mel_filters=filters,
        power=2.0,
    )
    found = log_mel(torch.from_numpy(waveform), about).numpy()
    np.testing.assert_allclose(found, np.log(np.maximum(theirs, 1e-10)), atol=1e-3)


def test_spectrograms_of_batches_and_of_silence():
    about = SoundInput()
    waveforms = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (3, 5000)).astype(np.float32))
    found = log_mel(waveforms, about)
    assert found.shape == (3, 64, 32)
    torch.testing.assert_close(found[1], log_mel(waveforms[1], about))
    assert (log_mel(torch.zeros(500), about) == np.float32(SILENCE)).all()
    assert pytest.approx(math.log(1e-10)) == SILENCE


def test_a_tone_is_loudest_in_its_band():
    about = SoundInput()
    edges = torch.linspace(0, RATE / 2, 257)
    for hertz in (300.0, 1000.0, 5000.0):
        band = int(log_mel(torch.from_numpy(tone(RATE, 0.5, hertz)), about)[:, 20].argmax())
        weights = mel_filters(RATE, 512, 64)[band]
        assert (edges[weights > 0].min() - 32 <= hertz) & (hertz <= edges[weights > 0].max() + 32)


def test_bands_that_hold_no_frequency_are_refused():
    with pytest.raises(ValueError, match="mels: 200 bands are too many"):
        log_mel(torch.zeros(1000), SoundInput(mels=200))


def test_a_sound_of_one_sample():
    assert len(decode_sound(soundfile_bytes(np.ones(1, np.float32) / 2, 48_000, "WAV"), RATE)) == 1


def test_reading_does_not_depend_on_the_name(tmp_path):
    (tmp_path / "sound.png").write_bytes(soundfile_bytes(tone(RATE, 0.5), RATE, "FLAC"))
    assert len(decode_sound(tmp_path / "sound.png", RATE)) == RATE // 2
    with soundfile.SoundFile(io.BytesIO((tmp_path / "sound.png").read_bytes())) as file:
        assert file.format == "FLAC"
