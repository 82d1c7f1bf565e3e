"""OpenCLIP models: built, saved, loaded, and as encoders. The only file that knows OpenCLIP's ways of loading."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vestige.data.inputs import Inputs, PictureInput
from vestige.data.media import decode_picture
from vestige.data.views import View, random_box
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json
from vestige.models.architectures import Architecture, architecture
from vestige.models.openclip_inputs import needs_no_repair, picture_transform, skip_repairs
from vestige.models.openclip_names import WEIGHTS_FILES, hub_folder, located
from vestige.models.units import watched_units
from vestige.samples import Modality, Sample

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
# What wrappers of modules lead their tensors' names with: for several devices, and compiled.
WRAPPERS = ("module.", "_orig_mod.")
# A folder that has one of these holds a tokenizer of transformers.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")

# How many tensors are named when a checkpoint does not fit; more would bury the message.
SHOWN = 3


def build(description: Architecture, *, seed: int) -> nn.Module:
    """A model with fresh weights; the same seed gives the same weights.

    Raises:
        VestigeError: OpenCLIP cannot build this description.
    """
    with torch.random.fork_rng(devices=[]), TemporaryDirectory() as folder, _quiet():
        # OpenCLIP builds by name, or from a folder with a description: the one way that needs no entry in its table.
        write_json(Path(folder) / CONFIG_FILE, {"model_cfg": _on_disk(_own(description))})
        torch.manual_seed(seed)
        try:
            model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
        except (OSError, RuntimeError, ImportError, TypeError, ValueError, AssertionError, KeyError) as error:
            raise VestigeError(f"OpenCLIP cannot build this model: {_first_line(error)}") from error
        if isinstance(model, open_clip.CoCa) and model.text_decoder.text_projection is not None:
            # OpenCLIP (3.3) leaves it as it finds the memory; its scale is that of the other towers' projections.
            width = model.text_decoder.text_projection.shape[0]
            nn.init.normal_(model.text_decoder.text_projection, std=width**-0.5)
        return model


def build_towers(description: Architecture, *, seed: int) -> tuple[nn.Module, nn.Module, tuple[Tensor, Tensor]]:
    """OpenCLIP's towers with fresh weights: (of pictures, of texts, mean and deviation to normalise pictures with)."""
    model = build({**description, "custom_text": True}, seed=seed)
    return cast(nn.Module, model.visual), cast(nn.Module, model.text), normalisation(model)


def _own(description: Architecture) -> Architecture:
    """What OpenCLIP knows of a description: without the towers of sound and film."""
    return {name: own for name, own in description.items() if name not in ("audio_cfg", "video_cfg")}


def _on_disk(description: Architecture) -> Architecture:
    """The description with the folder of its text model, where that is one of the Hugging Face Hub."""
    name = description["text_cfg"].get("hf_model_name")
    if not name or Path(name).is_dir():
        return description
    return {
        **description,
        "text_cfg": {**description["text_cfg"], "hf_model_name": str(hub_folder(name, "config.json"))},
    }


@contextmanager
def _quiet():
    """OpenCLIP warns of random weights whenever none are loaded; here that is what was asked for."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def save(model: nn.Module, description: Architecture, directory: Path) -> None:
    """Write a model so that `open_clip.create_model_and_transforms("local-dir:DIRECTORY")` loads it."""
    with replacing(directory) as temporary:
        temporary.mkdir(parents=True)
        about = {"model_cfg": _own(description), "preprocess_cfg": preprocess_config(model)}
        write_json(temporary / CONFIG_FILE, about)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, temporary / WEIGHTS_FILE)
        if description["text_cfg"].get("hf_tokenizer_name"):
            # Where OpenCLIP looks for it, and the folder then needs nothing else.
            cast(Any, tokenizer(description)).save_pretrained(str(temporary))


def preprocess_config(model: nn.Module) -> dict[str, Any]:
    """OpenCLIP's description of a model's preprocessing."""
    return dict(open_clip.get_model_preprocess_cfg(model))


def normalisation(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation that pictures in [0, 1] are normalised with, [3, 1, 1] each."""
    config = preprocess_config(model)
    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    return mean.view(3, 1, 1), std.view(3, 1, 1)


class Tokenizer(Protocol):
    def __call__(self, texts: list[str], /, context_length: int | None = None) -> Tensor:
        """Texts to token ids, [N, context length]; longer texts are cut."""
        ...


def count_cut(texts: Sequence[str], tokenize: Tokenizer, context: int) -> int:
    """How many texts have more tokens than the context holds."""
    cut = 0
    for start in range(0, len(texts), 4096):
        # A token takes a byte or more, and one token is put before a text and one behind it: short ones cannot be cut.
        part = [
            text for text in texts[start : start + 4096] if not (needs_no_repair(text) and len(text) + 2 <= context)
        ]
        if not part:
            continue
        if isinstance(tokenize, HFTokenizer):
            # What stands for padding may end every text too, so that cut and full look alike: tokens are counted.
            found = tokenize.tokenizer([tokenize.clean_fn(text) for text in part], verbose=False)
            cut += sum(len(tokens) > context for tokens in found["input_ids"])
        else:
            # With one place more, a text that fits exactly leaves that place empty, and a longer one fills it.
            cut += int((tokenize(part, context_length=context + 1)[:, -1] != 0).sum())
    return cut


def tokenizer(description: Architecture, folder: Path | None = None) -> Tokenizer:
    """The tokenizer that goes with a model: texts to token ids, [N, context length].

    Args:
        description: the model.
        folder: where the model lies; a tokenizer of transformers that lies there too is the model's.

    Raises:
        VestigeError: it is one of transformers and not on disk, or transformers is not installed.
    """
    text = description["text_cfg"]
    name = text.get("hf_tokenizer_name")
    if not name:
        return skip_repairs(
            open_clip.SimpleTokenizer(context_length=text.get("context_length", 77), **text.get("tokenizer_kwargs", {}))
        )
    if folder is not None and any((folder / file).is_file() for file in TOKENIZER_FILES):
        name = str(folder)
    try:
        return HFTokenizer(
            name,
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            **text.get("tokenizer_kwargs", {}),
        )
    except ImportError as error:
        raise VestigeError(f"the tokenizer {name!r} needs transformers: pip install 'vestige[hf]'") from error
    # What a folder without a tokenizer, or with half of one, ends in differs from version to version.
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise VestigeError(
            f"the tokenizer {name!r} is not on disk, and Vestige downloads nothing: put its files in a folder and name"
            " that folder as hf_tokenizer_name in the model's JSON file"
        ) from error


class OpenCLIPEncoder:
    """An OpenCLIP model as an encoder of images and texts.

    Args:
        model: the model; it is put into evaluation mode.
        description: its architecture.
        device: where it computes.
        folder: where it lies, which may hold its tokenizer.
    """

    modalities = (Modality.IMAGE, Modality.TEXT)

    def __init__(
        self, model: nn.Module, description: Architecture, *, device: str = "cpu", folder: Path | None = None
    ) -> None:
        self.model = model.to(device).eval()
        self._device = device
        self._transform = picture_transform(PreprocessCfg(**preprocess_config(model)))
        self._size = preprocess_config(model)["size"]
        self._tokenize = tokenizer(description, folder)
        self._context = description["text_cfg"].get("context_length", 77)
        about = {"text": description["text_cfg"], "image": preprocess_config(model)}
        self.preprocessing = digest(json.dumps(about, sort_keys=True, default=str))
        self.fingerprint = digest(weights_digest(model), self.preprocessing)
        size = preprocess_config(model)["size"]
        sides = {size} if isinstance(size, int) else set(size)
        # Canvases serve models that see central squares, as those do that were trained here.
        square = len(sides) == 1 and preprocess_config(model).get("resize_mode", "shortest") == "shortest"
        self.inputs: Inputs = {Modality.IMAGE: PictureInput(sides.pop())} if square else {}

    @classmethod
    def load(cls, checkpoint: Path | str, model: str | None = None, *, device: str = "cpu") -> "OpenCLIPEncoder":
        """Load a checkpoint.

        Args:
            checkpoint: a folder with `open_clip_config.json` (as `vestige run` writes); or a file with weights
                (`.safetensors`, or `.pt` as OpenCLIP's trainer writes it, or of tensors alone); or a name that
                `vestige.models.openclip_names` looks up.
            model: name of the architecture or JSON file; not needed where a folder holds the configuration.
            device: where the model computes.

        Raises:
            VestigeError: nothing there, not weights, or weights of another architecture (names the first tensors
                that do not fit).
        """
        place = located(checkpoint, model)
        path, found, config = place.path, None, dict(place.preprocessing)
        if path.is_dir():
            found, path, own = _in_folder(path)
            # A folder describes its own model; an architecture named beside it is taken instead of both.
            config = own if model is None else config
        if model is None and found is None:
            raise VestigeError(f"checkpoint {path}: name its architecture (for example --model ViT-B-32)")
        description = architecture(model) if model is not None else found
        assert description is not None
        built = build(description, seed=0)
        if config:
            open_clip.model.set_model_preprocess_cfg(built, preprocess_config(built) | config)
        fill(built, _as_built(built, read_weights(path)), path)
        return cls(built, description, device=device, folder=path.parent)

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        if Modality.IMAGE in sample.media:
            picture = decode_picture(sample.media[Modality.IMAGE])
            if view is not None:
                box = random_box(view, sample.key, *picture.size)
                size = (self._size, self._size) if isinstance(self._size, int) else tuple(self._size)[::-1]
                picture = picture.crop(box).resize(size, Image.Resampling.BICUBIC)
            prepared[Modality.IMAGE] = self._transform(picture)
        if sample.captions:
            prepared[Modality.TEXT] = self._tokenize([sample.captions[0]])[0]
        return prepared

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        if modality != Modality.IMAGE:
            return drawn
        mean, std = normalisation(self.model)
        return drawn.sub(mean).div_(std)

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        seen: dict[str, Tensor] = {}
        with watched_units(self.model, seen):
            return self.encode(batch), seen

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than the model reads."""
        return count_cut(texts, self._tokenize, self._context)

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        model = cast(open_clip.CLIP, self.model)
        towers = {Modality.IMAGE: model.encode_image, Modality.TEXT: model.encode_text}
        return {
            modality: nn.functional.normalize(towers[modality](tensor.to(self._device)).float(), dim=-1).cpu()
            for modality, tensor in batch.items()
        }


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name. Nothing is unpickled but tensors.

    Raises:
        VestigeError: no such file, or not one of tensors.
    """
    if not path.is_file():
        raise VestigeError(f"checkpoint {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise VestigeError(
            f"checkpoint {path}: holds objects other than tensors, which are not loaded from a file that could run"
            " code: save its state_dict alone"
        ) from error
    # Damaged files end in whatever the archive reader stumbles on.
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, SafetensorError) as error:
        raise VestigeError(f"checkpoint {path}: not readable as tensors: {_first_line(error)}") from error
    if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict) or not weights or not all(isinstance(t, Tensor) for t in weights.values()):
        raise VestigeError(f"checkpoint {path}: holds no tensors by name")
    while wrapper := next((own for own in WRAPPERS if all(name.startswith(own) for name in weights)), None):
        weights = {name.removeprefix(wrapper): tensor for name, tensor in weights.items()}
    return weights


def _as_built(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names and shapes that OpenCLIP has for them now; what takes no part in embedding may lack."""
    own = model.state_dict()
    weights = convert_state_dict(cast(open_clip.CLIP, model), weights)
    if "positional_embedding" in weights and "positional_embedding" not in own:
        weights = convert_to_custom_text_state_dict(weights)
    weights.pop("text.transformer.embeddings.position_ids", None)
    # A single number is written as [] by some versions and as [1] by others.
    for name in ("logit_scale", "logit_bias"):
        if name in weights and name in own and weights[name].numel() == own[name].numel():
            weights[name] = weights[name].reshape(own[name].shape)
    # OpenCLIP's trainer gives any architecture a bias with --siglip, and none to SigLIP's without it.
    if "logit_bias" in weights and "logit_bias" not in own:
        del weights["logit_bias"]
    elif "logit_bias" in own and "logit_bias" not in weights:
        weights["logit_bias"] = torch.zeros_like(own["logit_bias"])
    return weights


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put a checkpoint's weights into a model.

    Raises:
        VestigeError: weights of another architecture (names the first tensors that do not fit).
    """
    own = model.state_dict()
    wrong = [
        f"{name}: the model has {list(own[name].shape)}, the checkpoint {list(tensor.shape)}"
        for name, tensor in weights.items()
        if name in own and tensor.shape != own[name].shape
    ]
    wrong += [f"{name}: missing in the checkpoint" for name in own if name not in weights]
    wrong += [f"{name}: not in the model" for name in weights if name not in own]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise VestigeError(
            f"checkpoint {path} is of another architecture ({'; '.join(wrong[:SHOWN])}{more}): name the model it is of"
        )
    model.load_state_dict(dict(weights))


def _in_folder(folder: Path) -> tuple[Architecture | None, Path, dict[str, Any]]:
    """(architecture, weights, preprocessing) of a folder in OpenCLIP's layout."""
    weights = next((folder / name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if weights is None:
        others = sorted(path.name for path in folder.glob("*") if path.suffix in (".pt", ".pth", ".safetensors"))
        hint = f": name one of its files, such as {folder / others[-1]}" if others else ""
        state = "no weights in the folder" if folder.is_dir() else "no such folder"
        raise VestigeError(f"checkpoint {folder}: {state} (looked for {', '.join(WEIGHTS_FILES)}){hint}")
    if not (folder / CONFIG_FILE).is_file():
        return None, weights, {}
    try:
        about = read_json(folder / CONFIG_FILE)
        return about["model_cfg"], weights, about.get("preprocess_cfg", {})
    except (ValueError, KeyError, TypeError) as error:
        raise VestigeError(f"{folder / CONFIG_FILE}: not an OpenCLIP configuration: {_first_line(error)}") from error


def weights_digest(model: nn.Module) -> str:
    """Changes with any weight of the model."""
    weights = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return weights.hexdigest()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
