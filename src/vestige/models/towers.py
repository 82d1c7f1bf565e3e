"""Encoders of any number of modalities into one space: AudioCLIP's audio, image and text, AVT-CLIP, AVIT-CLIP.

Pictures and texts go through OpenCLIP's towers. Sounds go through OpenCLIP's vision transformer, over patches of a
log-mel spectrogram with one channel. Films go frame by frame through a vision tower of their own, whose embeddings are
averaged, or joined by one layer of attention over time.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol, cast, runtime_checkable

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from vestige.data.inputs import FilmInput, Input, PictureInput, SoundInput
from vestige.errors import VestigeError
from vestige.models import openclip
from vestige.models.architectures import Architecture
from vestige.samples import Modality

# CLIP's initial temperature (Radford et al., 2021).
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
POOLS = ("mean", "attention")
SOUND_SETTINGS: Mapping[str, int] = {"rate": 16_000, "mels": 64, "frames": 512, "window": 400, "hop": 160}
AUDIO_DEFAULTS: Mapping[str, Any] = {**SOUND_SETTINGS, "patch_size": 16}
VIDEO_DEFAULTS: Mapping[str, Any] = {"frames": 8, "pool": "mean"}


class Towers(nn.Module):
    """One tower a modality, one logit scale a pair.

    Args:
        towers: by modality, from its tensor ([n, 3, s, s] in [0, 1], [n, mels, T], [n, F, 3, s, s] in [0, 1], or token
            ids [n, context]) to embeddings [n, d] of any norm.
    """

    def __init__(self, towers: Mapping[Modality, nn.Module]) -> None:
        super().__init__()
        self.modalities = tuple(modality for modality in Modality if modality in towers)
        self.towers = nn.ModuleDict({str(modality): towers[modality] for modality in self.modalities})
        self.logit_scales = nn.ParameterDict(
            {f"{a}_{b}": torch.tensor(INITIAL_LOGIT_SCALE) for a, b in combinations(self.modalities, 2)}
        )

    def forward(self, inputs: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Unit embeddings of each modality that is given, [n, d]."""
        return {
            modality: nn.functional.normalize(self.towers[str(modality)](tensor).float(), dim=-1)
            for modality, tensor in inputs.items()
        }

    def logit_scale(self, a: Modality, b: Modality) -> Tensor:
        """The logarithm of the inverse temperature of a pair, in the order of `modalities`."""
        return self.logit_scales[f"{a}_{b}"]


@runtime_checkable
class ProjectingTower(Protocol):
    """A tower that says itself what it has before it projects into the shared space."""

    def backbone(self, batch: Tensor) -> Tensor:
        """Features, [n, b]."""
        ...


class PictureTower(nn.Module):
    """A vision tower that normalises its pictures itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, visual: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.visual((pictures - self.mean) / self.std)


class SoundTower(nn.Module):
    """A vision transformer over patches of a log-mel spectrogram.

    The spectrogram is normalised with fixed constants, so that the input has about the scale of a normalised picture.
    Mean and standard deviation of the natural log power, at the sizes of `nano` over up to 150 samples each: -11.1 and
    8.1 (asterisk), -7.6 and 3.3 (tuxpaint, French), -5.2 and 4.9 (wesnoth).
    """

    MEAN, STD = -8.0, 5.0

    def __init__(self, about: SoundInput, config: Mapping[str, Any], embed_dim: int) -> None:
        super().__init__()
        patch, width = config["patch_size"], config["width"]
        self.transformer = VisionTransformer(
            # OpenCLIP says int and takes a pair too: pictures need not be square.
            image_size=cast(int, (about.mels, about.frames)),
            patch_size=patch,
            width=width,
            layers=config["layers"],
            heads=width // config["head_width"],
            mlp_ratio=config.get("mlp_ratio", 4.0),
            output_dim=embed_dim,
        )
        self.transformer.conv1 = nn.Conv2d(1, width, kernel_size=patch, stride=patch, bias=False)

    def forward(self, spectrograms: Tensor) -> Tensor:
        return self.transformer(((spectrograms - self.MEAN) / self.STD).unsqueeze(1))


class FilmTower(nn.Module):
    """A picture tower on every frame, then the mean over time, or one layer of attention and then the mean."""

    def __init__(self, frame: nn.Module, frames: int, pool: str, embed_dim: int, head_width: int) -> None:
        super().__init__()
        self.frame = frame
        self.time: nn.Module | None = None
        if pool == "attention":
            self.position = nn.Parameter(0.02 * torch.randn(frames, embed_dim))
            heads = max(1, embed_dim // head_width)
            self.time = nn.TransformerEncoderLayer(
                embed_dim, heads, 4 * embed_dim, dropout=0.0, activation=nn.GELU(), batch_first=True, norm_first=True
            )

    def forward(self, films: Tensor) -> Tensor:
        frames = self.frame(films.flatten(0, 1)).unflatten(0, films.shape[:2])
        if self.time is not None:
            frames = self.time(frames + self.position)
        return frames.mean(dim=1)


def build(description: Architecture, modalities: Sequence[Modality], *, seed: int) -> Towers:
    """Towers with fresh weights; the same seed gives the same weights.

    Raises:
        VestigeError: a description that cannot be built.
    """
    description = complete(description)
    embed_dim = description["embed_dim"]
    # Each tower starts from the seed, whatever else is built: models of other modalities share what they share.
    towers: dict[Modality, nn.Module] = {}
    if Modality.IMAGE in modalities:
        towers[Modality.IMAGE] = picture_tower(description, seed)
    if Modality.TEXT in modalities:
        towers[Modality.TEXT] = openclip.build_towers(description, seed=seed)[1]
    with torch.random.fork_rng(devices=[]):
        if Modality.AUDIO in modalities:
            torch.manual_seed(seed)
            about = inputs_of(description, [Modality.AUDIO])[Modality.AUDIO]
            assert isinstance(about, SoundInput)
            try:
                towers[Modality.AUDIO] = SoundTower(about, description["audio_cfg"], embed_dim)
            except (TypeError, ValueError, KeyError, ZeroDivisionError, RuntimeError) as error:
                raise VestigeError(f"audio_cfg cannot be built: {type(error).__name__}: {error}") from error
        if Modality.VIDEO in modalities:
            video = description["video_cfg"]
            if video["pool"] not in POOLS:
                raise VestigeError(f"video_cfg: pool is one of {', '.join(POOLS)}, not {video['pool']!r}")
            frame = picture_tower(description, seed)
            torch.manual_seed(seed)
            head_width = description["vision_cfg"].get("head_width", 64)
            towers[Modality.VIDEO] = FilmTower(frame, video["frames"], video["pool"], embed_dim, head_width)
        return Towers(towers)


def picture_tower(description: Architecture, seed: int) -> PictureTower:
    """OpenCLIP's vision tower with fresh weights; the same seed gives the same weights."""
    visual, _, (mean, std) = openclip.build_towers(description, seed=seed)
    return PictureTower(visual, mean, std)


def complete(description: Architecture) -> Architecture:
    """The description with `audio_cfg` and `video_cfg`; what they leave open follows from `vision_cfg`.

    Raises:
        VestigeError: they hold an unknown setting, or sizes that are none.
    """
    vision = description["vision_cfg"]
    own = {name: vision.get(name, default) for name, default in (("width", 768), ("head_width", 64), ("layers", 12))}
    audio = {**AUDIO_DEFAULTS, **own, **_settings("audio_cfg", description, (*AUDIO_DEFAULTS, *own, "mlp_ratio"))}
    video = {**VIDEO_DEFAULTS, **_settings("video_cfg", description, tuple(VIDEO_DEFAULTS))}
    for name, found, sizes in (("audio_cfg", audio, SOUND_SETTINGS), ("video_cfg", video, ("frames",))):
        for size in sizes:
            if type(found[size]) is not int or found[size] < 1:
                raise VestigeError(f"{name}: {size} is a whole number above 0, not {found[size]!r}")
    return {**description, "audio_cfg": audio, "video_cfg": video}


def _settings(name: str, description: Architecture, known: Sequence[str]) -> Mapping[str, Any]:
    found = description.get(name, {})
    if not isinstance(found, Mapping):
        raise VestigeError(f"{name}: expected settings by name, found {found!r}")
    for setting in found:
        if setting not in known:
            raise VestigeError(f"{name}: unknown setting {setting!r}; there are: {', '.join(known)}")
    return found


def inputs_of(description: Architecture, modalities: Sequence[Modality]) -> dict[Modality, Input]:
    """What a model of this description reads of each medium.

    Raises:
        VestigeError: the model does not see squares.
    """
    description = complete(description)
    size = description["vision_cfg"].get("image_size", 224)
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise VestigeError(f"the model sees pictures of {size} pixels; only squares can be trained on")
    (side,) = sides
    audio = {name: description["audio_cfg"][name] for name in SOUND_SETTINGS}
    read: dict[Modality, Input] = {
        Modality.IMAGE: PictureInput(side),
        Modality.AUDIO: SoundInput(**audio),
        Modality.VIDEO: FilmInput(description["video_cfg"]["frames"], side),
    }
    return {modality: read[modality] for modality in modalities if modality != Modality.TEXT}
