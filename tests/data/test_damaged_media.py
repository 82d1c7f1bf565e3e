"""Damaged files of every kind give a result or a reason: never another error, never a crash, and not for long."""

import contextlib
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from recordings import film, sound, soundfile_bytes, tone
from vestige.data.film import decode_frames
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.data.sound import decode_sound

RATE = 16_000


def picture(kind: str, mode: str = "RGB", frames: int = 1) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (frames, 20, 24, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each).convert(mode) for each in noise]
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(buffer, kind, **more)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    waveform = tone(RATE, 0.3)
    made = {kind.lower(): picture(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "TGA")}
    made |= {kind.lower(): picture(kind) for kind in ("PPM", "PCX", "SGI", "ICO", "DDS", "ICNS", "QOI")}
    made |= {f"{kind.lower()} animation": picture(kind, frames=5) for kind in ("GIF", "WEBP", "PNG")}
    made |= {"grey-16": picture("PNG", "I;16"), "palette": picture("PNG", "P"), "cmyk": picture("JPEG", "CMYK")}
    made |= {
        kind.lower(): soundfile_bytes(waveform, RATE, kind) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU")
    }
    made |= {"caf": soundfile_bytes(waveform, RATE, "CAF"), "w64": soundfile_bytes(waveform, RATE, "W64")}
    for form, codec in (("mp4", "aac"), ("adts", "aac"), ("webm", "libopus"), ("mov", "pcm_s24le")):
        made[f"{form} {codec}"] = sound(form, codec, 48_000, tone(48_000, 0.3)[None])
    for form, codec in (("mp4", "libx264"), ("webm", "libvpx-vp9"), ("webm", "libvpx"), ("avi", "mpeg4")):
        made[f"{form} {codec}"] = film(form, codec, 12, keys=5)
    made["mpegts libx264"] = film("mpegts", "libx264", 12, keys=5)
    made["film with sound"] = film("mp4", "libx264", 12, keys=5, sound=True)
    return made


SEEDS = seeds()
DECODERS = {
    "picture": decode_picture,
    "small picture": lambda data: decode_picture(data, 8),
    "sound": lambda data: decode_sound(data, RATE),
    "film": lambda data: decode_frames(data, 3),
}


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes changed, mostly near the front where headers lie; a piece cut, doubled, blanked; the end cut off."""
    found = bytearray(data)
    for _ in range(random.integers(0, 9)):
        place = int(len(found) * random.random() ** random.choice([1, 6]))
        found[place] = random.choice([0, 1, 127, 128, 255, int(random.integers(256))])
    low, high = sorted(random.integers(0, len(found), 2).tolist())
    match random.integers(8):
        case 0:
            del found[low:high]
        case 1:
            found[high:high] = found[low:high]
        case 2:
            found[low:high] = bytes(high - low)
        case 3:
            del found[max(high, 1) :]
        case _:
            pass
    return bytes(found)


def decoded(decode, data: bytes) -> None:
    with contextlib.suppress(UnreadableMedia):
        found = decode(data)
        if isinstance(found, np.ndarray):
            assert found.dtype == np.float32
            assert len(found)
            assert np.isfinite(found).all()
        else:
            for each in found if isinstance(found, list) else [found]:
                assert each.mode == "RGB"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files_give_a_result_or_a_reason(kind):
    random = np.random.default_rng(sum(kind.encode()))
    for _ in range(12):
        data = damaged(SEEDS[kind], random)
        for decode in DECODERS.values():
            decoded(decode, data)


@pytest.mark.parametrize("kind", SEEDS)
def test_what_one_decoder_does_not_read_is_a_reason(kind):
    """A whole file of any kind, given to any decoder."""
    reasons = []
    for decode in DECODERS.values():
        try:
            decode(SEEDS[kind])
        except UnreadableMedia as error:
            reasons.append(str(error))
    assert len(reasons) < len(DECODERS)
    assert not any("\n" in reason for reason in reasons)


def test_threads_get_what_one_thread_gets():
    """And leave the filters of warnings as they were."""
    before = list(warnings.filters)
    jobs = [(name, kind) for name in DECODERS for kind in SEEDS] * 2

    def read(job: tuple[str, str]) -> bytes:
        try:
            found = DECODERS[job[0]](SEEDS[job[1]])
        except UnreadableMedia as error:
            return str(error).encode()
        if isinstance(found, np.ndarray):
            return found.tobytes()
        return b"".join(each.tobytes() for each in (found if isinstance(found, list) else [found]))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, jobs)) == list(map(read, jobs))
    assert warnings.filters == before
