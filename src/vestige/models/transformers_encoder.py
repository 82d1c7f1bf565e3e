"""Dual encoders of the library transformers as encoders of samples, read from a folder: CLIP, SigLIP, BLIP, CLAP, ...

The only file that knows transformers' ways of loading models for embeddings. Which models: `vestige.models.families`.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vestige.data.generation.local import SAFE, model_folder, reading
from vestige.data.inputs import Inputs
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.files import digest, read_json
from vestige.models.families import FAMILIES, Family, accepted, class_name, features
from vestige.models.transformers_inputs import (
    FilmReader,
    Layout,
    PictureReader,
    Reader,
    SoundReader,
    TextReader,
    trimmed,
)
from vestige.models.units import one_row_each, watched_units
from vestige.models.weights import SHOWN, weights_digest
from vestige.samples import Modality, Sample

CONFIG_FILE = "config.json"
# Models whose first positions are never used, as RoBERTa's: those up to and with that of the padding token.
SHIFTED = ("roberta", "xlm-roberta", "camembert", "mpnet", "clap_text_model", "altclip_text_model")
# Settings that say nothing of how a sample is prepared.
NOT_PREPARING = (CONFIG_FILE, "generation_config.json", "trainer_state.json", "training_args.json")


def model_type(folder: Path) -> str | None:
    """Which kind of model of transformers lies there; None if none does."""
    try:
        found = read_json(folder / CONFIG_FILE)
    except (OSError, ValueError):
        return None
    kind = found.get("model_type") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else None


class TransformersEncoder:
    """A dual encoder of transformers as an encoder of its modalities.

    Args:
        model: the model; it is put into evaluation mode.
        family: which kind it is.
        readers: what prepares each modality.
        preprocessing: changes with the preprocessing.
        device: where it computes.
    """

    def __init__(
        self,
        model: nn.Module,
        family: Family,
        readers: Mapping[Modality, Reader],
        preprocessing: str,
        *,
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        self.modalities = family.modalities
        # Canvases do not serve it: its processor wants the media themselves.
        self.inputs: Inputs = {}
        self._family, self._readers, self._device = family, readers, device
        self._layouts = {modality: Layout.of(_specimen(reader)) for modality, reader in readers.items()}
        self.preprocessing = preprocessing
        self.fingerprint = digest(weights_digest(model), preprocessing)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> "TransformersEncoder":
        """Load a folder as transformers writes it: `config.json`, safetensors, the processor's files.

        Raises:
            VestigeError: nothing there, a model that is no dual encoder known here, weights that do not fit it (names
                the first tensors), no processor, or transformers is not installed.
        """
        kind = model_type(folder)
        if kind is None or kind not in FAMILIES:
            raise VestigeError(
                f"checkpoint {folder}: a model of the type {kind!r} is not read for embeddings; those are:"
                f" {', '.join(sorted(FAMILIES))}, and OpenCLIP's. Any other: vestige.CallableEncoder, from Python"
            )
        model_folder(folder, "checkpoint", CONFIG_FILE)
        transformers = transformers_library(f"checkpoint {folder}")
        with reading(folder, "checkpoint"), silence(transformers):
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model = filled(getattr(transformers, class_name(config.architectures or ())), folder)
            readers = _readers(transformers, folder, config, FAMILIES[kind], model)
            return cls(model, FAMILIES[kind], readers, digest(kind, *prepared_by(folder)), device=device)

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        prepared: dict[Modality, Tensor] = {}
        for modality, reader in self._readers.items():
            medium = (sample.captions or (None,))[0] if modality == Modality.TEXT else sample.media.get(modality)
            if medium is not None:
                prepared[modality] = self._layouts[modality].pack(reader(medium, sample.key, view))
        return prepared

    def from_canvases(self, modality: Modality, drawn: Tensor) -> Tensor:
        return drawn

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        found: dict[Modality, Tensor] = {}
        for modality, tensor in batch.items():
            inputs = self._layouts[modality].unpack(tensor)
            if modality == Modality.TEXT and not self._family.padded:
                inputs = trimmed(inputs)
            own = features(self.model, modality, {name: part.to(self._device) for name, part in inputs.items()})
            found[modality] = nn.functional.normalize(own.float(), dim=-1).cpu()
        return found

    def encode_with_units(self, batch: Mapping[Modality, Tensor]) -> tuple[dict[Modality, Tensor], dict[str, Tensor]]:
        seen: dict[str, Tensor] = {}
        with watched_units(self.model, seen):
            found = self.encode(batch)
        return found, one_row_each(seen, len(next(iter(batch.values()))))

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than the model reads."""
        reader = self._readers[Modality.TEXT]
        assert isinstance(reader, TextReader)
        return reader.count_cut(texts)


def transformers_library(what: str) -> ModuleType:
    """The library, or the line that says how to have it."""
    try:
        import transformers
    except ImportError as error:
        raise VestigeError(f"{what}: needs transformers: pip install 'vestige[hf]'") from error
    return transformers


@contextmanager
def silence(transformers: ModuleType) -> Iterator[None]:
    """Without the library's bars and reports: what matters of them is raised."""
    about = transformers.utils.logging
    bars, before = about.is_progress_bar_enabled(), logging.root.manager.disable
    about.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        if bars:
            about.enable_progress_bar()


def filled(kind: Any, folder: Path, unused: tuple[str, ...] = ()) -> nn.Module:
    """A model with all of its weights from the folder, in float32.

    Args:
        kind: class of transformers.
        folder: where it lies.
        unused: beginnings of the names of tensors that may be missing.

    Raises:
        VestigeError: some of its weights are missing, or of another shape.
    """
    model, report = kind.from_pretrained(
        folder, **SAFE, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
    )
    wrong = [
        f"{name}: the model has {list(own)}, the checkpoint {list(found)}"
        for name, found, own in sorted(report["mismatched_keys"])
    ]
    missing = [name for name in sorted(report["missing_keys"]) if not name.startswith(unused)]
    wrong += [f"{name}: missing in the checkpoint" for name in missing]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise VestigeError(
            f"checkpoint {folder}: its weights are not of the {type(model).__name__} that its config.json describes"
            f" ({'; '.join(wrong[:SHOWN])}{more})"
        )
    return model


def _readers(transformers: ModuleType, folder: Path, config: Any, family: Family, model: Any) -> dict[Modality, Reader]:
    local = {"local_files_only": True, "trust_remote_code": False}
    readers: dict[Modality, Reader] = {}
    for modality in family.modalities:
        names = accepted(model, modality)
        match modality:
            case Modality.TEXT:
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
                readers[modality] = TextReader(tokenizer, text_length(tokenizer, config, family.context), names)
            case Modality.IMAGE:
                processor = transformers.AutoImageProcessor.from_pretrained(folder, **local)
                readers[modality] = PictureReader(processor, names)
            case Modality.AUDIO:
                readers[modality] = SoundReader(
                    transformers.AutoFeatureExtractor.from_pretrained(folder, **local), names
                )
            case Modality.VIDEO:
                processor = transformers.AutoImageProcessor.from_pretrained(folder, **local)
                readers[modality] = FilmReader(processor, config.vision_config.num_frames)
    return readers


def text_length(tokenizer: Any, config: Any, context: int | None) -> int:
    """Tokens of the longest text that is read.

    Args:
        tokenizer: of transformers; it may know a length.
        config: of the model, with `text_config` if it has parts.
        context: a length that is known of such models.
    """
    text = getattr(config, "text_config", config)
    positions = getattr(text, "max_position_embeddings", None)
    if positions is not None and text.model_type in SHIFTED:
        positions -= (text.pad_token_id or 0) + 1
    # A tokenizer that knows no length states an enormous one.
    stated = tokenizer.model_max_length if tokenizer.model_max_length < 1_000_000 else context
    known = [length for length in (stated, positions) if length is not None]
    if not known:
        raise VestigeError("the tokenizer does not say how long a text may be: set model_max_length in its JSON file")
    return min(known)


def prepared_by(folder: Path) -> list[str]:
    """Names and contents of the files that say how samples are prepared."""
    contents: list[str] = []
    for path in sorted(folder.iterdir()):
        index = path.name.endswith(".index.json")
        if path.suffix in {".json", ".txt", ".model"} and path.name not in NOT_PREPARING and not index:
            contents += [path.name, hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()]
    return contents


def _specimen(reader: Reader) -> Mapping[str, Tensor]:
    """What a reader makes of the plainest medium: of all media alike, but for the numbers."""
    match reader:
        case TextReader():
            return reader("a", "", None)
        case SoundReader():
            return reader.extract(torch.zeros(1).numpy())
        case _:
            return reader(Image.new("RGB", (64, 64), "grey"), "", None)
