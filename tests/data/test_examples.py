"""Examples: views from canvases are the views of the media themselves, whatever a sample lacks."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from clips import film, tone
from drawings import draw
from vestige.data.augmentation import AugmentationConfig
from vestige.data.canvases import canvas_of
from vestige.data.catalogue import open_canvases, read_catalogue
from vestige.data.examples import Examples
from vestige.data.inputs import FilmInput, PictureInput, SoundInput
from vestige.data.media_views import frame_choice, sound_windows
from vestige.data.memory import SampleList
from vestige.data.sound import SILENCE, decode_sound, log_mel
from vestige.data.views import View, key_hashes
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

SOUND = SoundInput(rate=8000, frames=40, mels=16, window=400, hop=200)
INPUTS = {Modality.IMAGE: PictureInput(16), Modality.AUDIO: SOUND, Modality.VIDEO: FilmInput(2, 16)}
KINDS = {modality: canvas_of(read) for modality, read in INPUTS.items()}


def png(number: int) -> bytes:
    file = io.BytesIO()
    draw(number)[0].save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def source():
    media = {Modality.IMAGE: png, Modality.AUDIO: tone, Modality.VIDEO: film}
    lacks = {1: (Modality.AUDIO,), 2: (Modality.VIDEO, Modality.IMAGE), 4: tuple(media)}
    return SampleList(
        [
            Sample(
                str(n), str(n), {m: make(n) for m, make in media.items() if m not in lacks.get(n, ())}, (f"thing {n}",)
            )
            for n in range(6)
        ]
    )


def tokenize(texts: list[str]) -> torch.Tensor:
    return torch.tensor([[int(text.split()[1]), 7] for text in texts])


@pytest.fixture
def examples(source, tmp_path):
    found = read_catalogue(source, tmp_path, KINDS)
    assert dict(found.lacking) == {"4": "has no image and no audio and no video"}
    assert found.skipped == ()
    canvases = open_canvases(source, found, tmp_path, KINDS)
    return Examples(found.keys, INPUTS, canvases, found.sizes, found.captions, tokenize)


def test_what_a_sample_lacks_is_left_out(examples):
    drawn = examples.draw(np.arange(5), View(0, 0))
    assert list(drawn.present) == [Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.VIDEO]
    assert drawn.present[Modality.AUDIO].tolist() == [True, False, True, True, True]
    assert drawn.present[Modality.IMAGE].tolist() == [True, True, False, True, True]
    assert drawn.tensors[Modality.AUDIO].shape == (4, 16, 40)
    assert drawn.tensors[Modality.IMAGE].shape == (4, 3, 16, 16)
    assert drawn.tensors[Modality.VIDEO].shape == (4, 2, 3, 16, 16)
    assert drawn.tensors[Modality.TEXT][:, 0].tolist() == [0, 1, 2, 3, 5]


def test_rows_of_what_was_drawn(examples):
    drawn = examples.draw(np.arange(5), View(0, 3))
    chosen = torch.tensor([4, 1, 2])
    part, again = drawn.rows(chosen), examples.draw(chosen.numpy(), View(0, 3))
    for modality, present in part.present.items():
        assert torch.equal(present, again.present[modality])
        assert torch.equal(part.tensors[modality], again.tensors[modality])


def test_a_draw_depends_on_seed_epoch_and_key_alone(examples):
    one = examples.draw(np.array([3, 0]), View(1, 2)).tensors
    two = examples.draw(np.array([0, 1, 3]), View(1, 2)).tensors
    assert torch.equal(one[Modality.AUDIO][0], two[Modality.AUDIO][1])
    torch.testing.assert_close(one[Modality.VIDEO][0], two[Modality.VIDEO][2], atol=1e-6, rtol=0)
    other = examples.draw(np.array([3, 0]), View(1, 3)).tensors
    assert all(not torch.equal(one[m], other[m]) for m in INPUTS)


def test_a_sound_is_the_spectrogram_of_its_window(source, examples):
    (sample,) = source.samples(["3"])
    whole = log_mel(torch.from_numpy(decode_sound(sample.media[Modality.AUDIO], SOUND.rate)), SOUND)
    length = np.array([whole.shape[1]])
    for view in (None, View(0, 1)):
        starts, gains = sound_windows(view, key_hashes(["3"]), length, SOUND.frames)
        expected = (whole[:, starts[0] : starts[0] + SOUND.frames] + gains[0]).clamp(min=SILENCE)
        (found,) = examples.media(Modality.AUDIO, np.array([3]), view)
        torch.testing.assert_close(found[:, : expected.shape[1]], expected, atol=2e-2, rtol=0)


def test_a_film_is_its_frames(source, examples):
    (sample,) = source.samples(["3"])
    file = Image.open(io.BytesIO(sample.media[Modality.VIDEO]))
    # Of five frames four are kept, the middles of quarters; the choice takes one of each half of them.
    kept = [int((part + 0.5) * 5 / 4) for part in range(4)]
    (choice,) = frame_choice(None, key_hashes(["3"]), 4, 2)
    (found,) = examples.media(Modality.VIDEO, np.array([3]), None)
    for frame, place in zip(found, choice, strict=True):
        file.seek(kept[place])
        small = file.convert("RGB").resize((16, 16), Image.Resampling.BICUBIC)
        expected = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255
        assert (frame - expected).abs().mean() < 0.01


def test_colours_and_crops_vary_in_training_alone(source, examples, tmp_path):
    found = read_catalogue(source, tmp_path / "again", KINDS)
    canvases = open_canvases(source, found, tmp_path / "again", KINDS)
    loud = AugmentationConfig(crop_scale=0.3, brightness=0.5, jitter_probability=1.0, grey_probability=0.5)
    varied = Examples(found.keys, INPUTS, canvases, found.sizes, found.captions, tokenize, augmentation=loud)
    every, view = np.arange(5), View(0, 1)
    for modality in INPUTS:
        assert torch.equal(varied.media(modality, every, view), examples.media(modality, every, view))
        assert torch.equal(varied.draw(every, None).tensors[modality], examples.draw(every, None).tensors[modality])
    plain, loud_ones = (own.draw(every, view).tensors for own in (examples, varied))
    assert torch.equal(plain[Modality.AUDIO], loud_ones[Modality.AUDIO])
    assert not torch.equal(plain[Modality.IMAGE], loud_ones[Modality.IMAGE])
    # What is grey is grey in every frame of its film.
    grey = (loud_ones[Modality.VIDEO].amax(2) - loud_ones[Modality.VIDEO].amin(2)).amax((2, 3)) < 1e-5
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert grey.any()
    assert not grey.all()


@pytest.mark.parametrize("change", [{"crop_scale": 0.0}, {"hue": 0.6}, {"grey_probability": 2.0}])
def test_augmentations_that_cannot_be(change):
    with pytest.raises(VestigeError, match="augmentation." + next(iter(change))):
        AugmentationConfig(**change)
