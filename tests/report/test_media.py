"""Media on the page: small, playable, told by their bytes, and in a folder where they are too much for one file."""

import base64
import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from clips import film as animation
from recordings import film, soundfile_bytes, tone
from report.cases import table, write
from vestige.report.media import EXCERPT, LARGEST_FILM, LARGEST_SOUND, show_media
from vestige.report.options import ReportConfig
from vestige.report.pictures import FRAMES, contact_sheet, side_for
from vestige.samples import Modality


def test_small_sounds_are_kept_as_they_are() -> None:
    wave = tone(8_000, 0.5)
    kinds = {("WAV", "PCM_16"): "wav", ("FLAC", None): "flac", ("OGG", "OPUS"): "ogg", ("OGG", "VORBIS"): "ogg"}
    for (form, subtype), kind in kinds.items():
        data = soundfile_bytes(wave, 8_000, form, subtype)
        (shown,) = show_media({Modality.AUDIO: data}, 256)
        assert shown.clip is not None
        assert (shown.clip.data, shown.clip.type, shown.note) == (data, f"audio/{kind}", "")
        assert shown.seconds == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("seconds", "form", "subtype"), [(14.0, "WAV", "PCM_16"), (1.0, "AIFF", None), (1.0, "WAV", "FLOAT")]
)
def test_other_sounds_become_the_first_seconds(seconds: float, form: str, subtype: str | None, tmp_path: Path) -> None:
    """Long ones, and kinds that browsers do not play; the pitch and the loudness stay."""
    path = tmp_path / "no ending"
    path.write_bytes(soundfile_bytes(tone(16_000, seconds), 16_000, form, subtype))
    (shown,) = show_media({Modality.AUDIO: path}, 256)
    assert shown.clip is not None
    assert shown.clip.type == "audio/ogg"
    assert len(shown.clip.data) < LARGEST_SOUND
    assert shown.seconds == pytest.approx(seconds)
    assert shown.note == ("the first 10 of 14.0 s" if seconds > EXCERPT else "")
    wave, rate = soundfile.read(io.BytesIO(shown.clip.data))
    assert len(wave) / rate == pytest.approx(min(seconds, EXCERPT), abs=0.1)
    middle = wave[rate // 4 : rate // 2]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.1)
    heard = np.abs(np.fft.rfft(middle)).argmax() * rate / len(middle)
    assert heard == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    ("form", "codec", "sound", "kind"),
    [
        ("mp4", "libx264", False, "video/mp4"),
        ("mp4", "libx264", True, "video/mp4"),
        ("webm", "libvpx", False, "video/webm"),
        ("avi", "mjpeg", False, None),
        ("mp4", "mpeg4", False, None),
    ],
)
def test_films_are_played_where_browsers_can(form: str, codec: str, sound: bool, kind: str | None) -> None:
    """By container and codec; a sheet of six frames is there in any case."""
    data = film(form, codec, frames=30, sound=sound)
    (shown,) = show_media({Modality.VIDEO: data}, 256)
    assert shown.picture is not None
    assert (None if shown.clip is None else shown.clip.type) == kind
    assert shown.clip is None or shown.clip.data == data
    assert shown.note == ("" if kind else f"{FRAMES} of 30 frames")
    assert shown.seconds == pytest.approx(1.2, abs=0.1)
    sheet = np.asarray(Image.open(io.BytesIO(shown.picture.data)).convert("L")).astype(int)
    assert sheet.shape[::-1] == shown.size
    height, width = sheet.shape
    greys = [
        sheet[height // 4 + row * height // 2, width // 6 + column * width // 3]
        for row in (0, 1)
        for column in (0, 1, 2)
    ]
    assert greys == sorted(greys)
    assert greys[-1] - greys[0] > 100


def test_large_films_are_shown_by_their_frames() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 480, 640, 3), dtype=np.uint8)
    data = film(frames=8, size=(640, 480), pictures=list(noise))
    assert len(data) > LARGEST_FILM
    (shown,) = show_media({Modality.VIDEO: data}, 256)
    assert (shown.clip, shown.picture is None, shown.note) == (None, False, f"{FRAMES} of 8 frames")


def test_animations_and_pictures_as_films() -> None:
    moving, still = (
        show_media({Modality.VIDEO: medium}, 100)[0] for medium in (animation(3, 4), Image.new("RGB", (30, 20)))
    )
    for shown in (moving, still):
        assert shown.clip is None
        assert shown.picture is not None
        assert shown.size[0] <= 100


def test_what_is_no_medium_says_so(tmp_path: Path) -> None:
    """Markup called a picture, a picture called a sound, a cut film, an empty or missing file."""
    evil = b"<svg onload=alert(1)><script>alert(1)</script></svg>"
    for media in (evil, tmp_path / "none.png", tmp_path, b"", film()[:200]):
        for modality in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO):
            (shown,) = show_media({modality: media}, 256)
            assert shown.note
            assert shown.clip is None
            assert shown.picture is None
    (shown,) = show_media({Modality.AUDIO: Image.new("RGB", (4, 4))}, 256)
    assert shown.note == "a picture, not a sound"


def test_contact_sheet() -> None:
    """Frames in order, row by row, of one size, with a gap between them; one frame stays as it is."""
    frames = [Image.new("RGB", (60, 30), (40 * number, 0, 0)) for number in range(6)]
    sheet = contact_sheet(frames, 124)
    assert sheet.size == (124, 42)
    assert [sheet.getpixel((20 + 42 * column, 10 + 22 * row))[0] for row in (0, 1) for column in (0, 1, 2)] == [
        *range(0, 240, 40)
    ]
    assert sheet.getpixel((40, 10)) == (128, 128, 128)
    assert contact_sheet(frames[:1], 100).size == (100, 50)
    assert contact_sheet([Image.new("RGB", (1, 5000))] * 2, 1).size[0] == 4


def test_many_pictures_are_smaller() -> None:
    sides = [side_for(count) for count in (1, 600, 601, 2000, 2001, 10**6)]
    assert sides == sorted(sides, reverse=True)
    assert len(set(sides)) == 3


def colour(key: str) -> dict:
    shade = int(key.rpartition("-")[2])
    noise = np.random.default_rng(shade).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return {Modality.IMAGE: Image.fromarray(noise)}


def test_past_the_limit_media_lie_beside_the_page(tmp_path: Path) -> None:
    """In files named after their content, with relative links; below it the page holds all. Nothing old stays."""
    scores = table(["candidate"] * 8, [float(-row) for row in range(8)])
    inside = write(tmp_path, scores, media=colour)
    sources = [own["src"] for row in inside.media() for own in row]
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]

    limits = ReportConfig(max_megabytes=0.004)
    assert sum(map(len, sources)) > 4_000
    outside = write(tmp_path, scores, media=colour, limits=limits)
    links = [own["src"] for row in outside.media() for own in row]
    assert [base64.b64decode(source.partition(",")[2]) for source in sources] == [
        (tmp_path / link).read_bytes() for link in links
    ]
    assert all(link.startswith("report_files/") for link in links)
    assert len(outside.source) < len(inside.source) - sum(map(len, sources)) + 1_000
    assert "report_files" in outside.texts("footer")[0]
    policy = next(e.attributes["content"] or "" for e in outside.find("meta") if "http-equiv" in e.attributes)
    assert "img-src data: 'self'; media-src data: 'self'" in policy

    kept = tmp_path / "report_files" / "notes of somebody.txt"
    kept.write_text("mine", encoding="utf-8")
    write(tmp_path, scores.slice(0, 6), media=colour, limits=limits)
    assert {path.name for path in kept.parent.iterdir()} == {
        kept.name,
        *(link[len("report_files/") :] for link in links[:6]),
    }
    kept.unlink()
    write(tmp_path, scores, media=colour)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_limit_is_that_of_the_page(tmp_path: Path) -> None:
    """The same picture counts as often as it stands there; a byte more than fits moves all."""
    scores = table(["candidate"] * 4, [4.0, 3.0, 2.0, 1.0])
    page = write(tmp_path, scores, media=lambda key: colour("key-1"))
    size = sum(len(own["src"].partition(",")[2]) for row in page.media() for own in row)
    write(tmp_path, scores, media=lambda key: colour("key-1"), limits=ReportConfig(max_megabytes=size / 1e6))
    assert not (tmp_path / "report_files").exists()
    less = math.floor(size * 0.98) / 1e6
    write(tmp_path, scores, media=lambda key: colour("key-1"), limits=ReportConfig(max_megabytes=less))
    assert len(list((tmp_path / "report_files").iterdir())) == 1
