"""Sentence encoders: text models of transformers, in sentence-transformers' layout too, from a folder.

The reference of Deja Vu's one-model test (Jayaraman, Guo and Chaudhuri, 2024): what captions tell without any picture.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vestige.data.generation.local import model_folder, reading
from vestige.data.views import View
from vestige.errors import VestigeError
from vestige.files import digest, read_json
from vestige.models.families import FAMILIES
from vestige.models.transformers_encoder import (
    CONFIG_FILE,
    filled,
    model_type,
    prepared_by,
    silence,
    text_length,
    transformers_library,
)
from vestige.models.transformers_inputs import Layout, TextReader, trimmed
from vestige.models.weights import weights_digest
from vestige.samples import Modality, Sample

POOLING_FILE = Path("1_Pooling") / "config.json"
MODULES_FILE = "modules.json"
# Steps of a sentence encoder that are taken here; the last makes unit vectors, which all encoders give.
STEPS = ("Transformer", "Pooling", "Normalize")


class SentenceEncoder:
    """A text model of transformers, its tokens joined to one vector.

    Args:
        model: the text model; it is put into evaluation mode.
        reader: prepares the texts.
        pooling: `mean` of the tokens, or `cls`, the first one.
        preprocessing: changes with the preprocessing.
        prompt: what every text begins with.
        device: where it computes.
    """

    modalities = (Modality.TEXT,)

    def __init__(
        self, model: nn.Module, reader: TextReader, pooling: str, preprocessing: str, prompt: str = "", *, device: str
    ) -> None:
        self.model = model.to(device).eval()
        self._reader, self._pooling, self._prompt, self._device = reader, pooling, prompt, device
        self._layout = Layout.of(reader("a", "", None))
        self.preprocessing = digest(preprocessing, prompt)
        self.fingerprint = digest(weights_digest(model), self.preprocessing, pooling)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> "SentenceEncoder":
        """Load a folder of sentence-transformers or transformers; unless it says otherwise, tokens are averaged.

        Raises:
            VestigeError: nothing there, weights that do not fit, steps that are not known here, a model of more than
                texts, or transformers is not installed.
        """
        kind = model_type(folder)
        if kind is not None and kind in FAMILIES:
            raise VestigeError(
                f"reference {folder}: a {FAMILIES[kind].name} is no model of texts alone: name it with --g"
            )
        model_folder(folder, "reference", CONFIG_FILE)
        transformers = transformers_library(f"reference {folder}")
        local = {"local_files_only": True, "trust_remote_code": False}
        with reading(folder, "reference"), silence(transformers):
            config = transformers.AutoConfig.from_pretrained(folder, **local)
            model = filled(transformers.AutoModel, folder, unused=("pooler.",))
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
            length = text_length(tokenizer, config, _stated_length(folder))
            reader = TextReader(tokenizer, length, ("input_ids", "attention_mask"))
            pooling, prompt = _pooling(folder), _prompt(folder)
            encoder = cls(model, reader, pooling, digest(*prepared_by(folder)), prompt, device=device)
            # Whether it is a model that reads texts alone shows when it reads one.
            encoder.encode({Modality.TEXT: encoder._layout.pack(reader("a", "", None))[None]})
            return encoder

    def prepare(self, sample: Sample, view: View | None) -> dict[Modality, Tensor]:
        if not sample.captions:
            return {}
        return {Modality.TEXT: self._layout.pack(self._reader(self._prompt + sample.captions[0], sample.key, view))}

    @torch.inference_mode()
    def encode(self, batch: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        inputs = {
            name: part.to(self._device) for name, part in trimmed(self._layout.unpack(batch[Modality.TEXT])).items()
        }
        tokens = self.model(**inputs).last_hidden_state.float()
        if self._pooling == "cls":
            joined = tokens[:, 0]
        else:
            mask = inputs["attention_mask"][:, :, None].to(tokens.dtype)
            joined = (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return {Modality.TEXT: nn.functional.normalize(joined, dim=-1).cpu()}

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than the model reads."""
        return self._reader.count_cut([self._prompt + text for text in texts])


def _stated_length(folder: Path) -> int | None:
    """Tokens of the longest text, as sentence-transformers keeps it."""
    path = folder / "sentence_bert_config.json"
    return read_json(path).get("max_seq_length") if path.is_file() else None


def _pooling(folder: Path) -> str:
    """How sentence-transformers joins the tokens there: mean where it says nothing."""
    if (folder / MODULES_FILE).is_file():
        steps = [str(step["type"]).rpartition(".")[2] for step in read_json(folder / MODULES_FILE)]
        unknown = [step for step in steps if step not in STEPS]
        if unknown:
            raise VestigeError(f"reference {folder}: its step {unknown[0]!r} is not known: {', '.join(STEPS)} are")
    if not (folder / POOLING_FILE).is_file():
        return "mean"
    about = read_json(folder / POOLING_FILE)
    modes = {name.removeprefix("pooling_mode_") for name, on in about.items() if on is True} - {"include_prompt"}
    named = {"cls_token": "cls", "mean_tokens": "mean"}
    if len(modes) != 1 or not modes <= set(named):
        found = ", ".join(sorted(modes)) or "none"
        raise VestigeError(f"reference {folder}: its pooling ({found}) is not known: mean_tokens and cls_token are")
    return named[modes.pop()]


def _prompt(folder: Path) -> str:
    """What sentence-transformers puts before every text."""
    path = folder / "config_sentence_transformers.json"
    about = read_json(path) if path.is_file() else {}
    name = about.get("default_prompt_name")
    return about.get("prompts", {}).get(name, "") if name else ""
