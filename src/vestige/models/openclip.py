"""OpenCLIP models: built, saved, loaded, and as encoders. The only file that knows OpenCLIP's ways of loading."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vestige.data.inputs import Inputs, PictureInput
from vestige.data.media import decode_picture
from vestige.data.views import View, random_box
from vestige.errors import VestigeError
from vestige.files import digest, read_json, replacing, write_json
from vestige.models.architectures import Architecture, architecture
from vestige.models.backbone import before_projection
from vestige.models.openclip_inputs import needs_no_repair, picture_transform, remember_texts, skip_repairs
from vestige.models.openclip_names import WEIGHTS_FILES, hub_folder, located
from vestige.models.units import watched_units
from vestige.models.weights import as_built, fill, first_line, read_weights, weights_digest
from vestige.samples import Modality, Sample

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
# A folder that has one of these holds a tokenizer of transformers.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


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
            raise VestigeError(f"OpenCLIP cannot build this model: {first_line(error)}") from error
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
        length, settings = text.get("context_length", 77), text.get("tokenizer_kwargs", {})
        return remember_texts(skip_repairs(open_clip.SimpleTokenizer(context_length=length, **settings)))
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
        fill(built, as_built(built, read_weights(path)), path)
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

    @torch.inference_mode()
    def encode_backbone(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        if Modality.IMAGE not in batch:
            return {}
        model, pictures = cast(open_clip.CLIP, self.model), batch[Modality.IMAGE].to(self._device)
        found = before_projection(model.visual, lambda: model.encode_image(pictures))
        return {Modality.IMAGE: found.float().cpu()}


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
        raise VestigeError(f"{folder / CONFIG_FILE}: not an OpenCLIP configuration: {first_line(error)}") from error
