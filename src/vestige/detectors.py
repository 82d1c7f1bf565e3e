"""Object detectors that lie on disk: torchvision's architectures, and those of transformers, zero-shot ones too."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from vestige.data.generation.describing import library
from vestige.data.generation.local import SAFE, fingerprint, model_folder, reading
from vestige.errors import VestigeError


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: its name, the detector's score, and (left, top, right, bottom) in pixels."""

    label: str
    score: float
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """Finds objects in pictures."""

    @property
    def provenance(self) -> str: ...

    def detect(self, pictures: Sequence[Image.Image], threshold: float) -> list[list[Detection]]:
        """The objects of each picture whose score is at least the threshold, best first."""
        ...


def open_detector(path: Path, *, architecture: str | None, labels: Sequence[str] | None, device: str) -> Detector:
    """Open a detector.

    Args:
        path: a checkpoint of a torchvision architecture (`.safetensors`, or `.pt`, `.pth` of tensors), or a folder of
            a transformers model.
        architecture: the torchvision architecture of a checkpoint.
        labels: names of a checkpoint's classes, with or without the background before them (COCO's when not given);
            what a zero-shot detector looks for.
        device: where it runs.

    Raises:
        VestigeError: there is no detector there, or architecture and labels do not fit it.
    """
    if path.is_dir():
        return TransformersDetector(path, labels, device)
    if not path.is_file():
        raise VestigeError(f"detector: {path}: no such file or folder: name a checkpoint, or a model's folder")
    return TorchvisionDetector(path, architecture, labels, device)


class TorchvisionDetector:
    """A checkpoint of a detection architecture of torchvision; arguments as of `open_detector`."""

    def __init__(self, path: Path, architecture: str | None, labels: Sequence[str] | None, device: str) -> None:
        from torchvision import models

        known = models.list_models(module=models.detection)
        if architecture not in known:
            raise VestigeError(
                f"detector: {path}: name its architecture with --architecture, not {architecture!r}: one of"
                f" {', '.join(known)}"
            )
        with reading(path, "detector"):
            state = _tensors(path)
            names = labels or _published_names(architecture)
            # Class 0 is the background; a list of names may leave it out.
            names = [*names] if names[0] == "__background__" else ["__background__", *names]
            self._model = models.get_model(architecture, weights=None, weights_backbone=None, num_classes=len(names))
            self._model.load_state_dict(state)
        self._model.to(device).eval()
        self._names, self._device = names, device
        self._name = f"{architecture} {fingerprint(path)}"

    @property
    def provenance(self) -> str:
        return f"detected by {self._name}"

    def detect(self, pictures: Sequence[Image.Image], threshold: float) -> list[list[Detection]]:
        from torchvision.transforms.functional import pil_to_tensor

        tensors = [pil_to_tensor(picture).float().div_(255).to(self._device) for picture in pictures]
        with torch.inference_mode():
            found = self._model(tensors)
        return [
            _detections(
                [self._names[label] for label in one["labels"].tolist()], one["scores"], one["boxes"], threshold
            )
            for one in found
        ]


class TransformersDetector:
    """A folder of a transformers model for object detection; arguments as of `open_detector`."""

    def __init__(self, path: Path, labels: Sequence[str] | None, device: str) -> None:
        folder = model_folder(path, "detector", "config.json")
        transformers = library("annotate")
        local = {"local_files_only": True, "trust_remote_code": False}
        with reading(folder, "detector"):
            config = transformers.AutoConfig.from_pretrained(folder, **local)
            self._zero_shot = type(config) in transformers.AutoModelForZeroShotObjectDetection._model_mapping
            if self._zero_shot and not labels:
                raise VestigeError(f"detector: {path}: looks for what it is told: name a file of labels with --labels")
            kind = "AutoModelForZeroShotObjectDetection" if self._zero_shot else "AutoModelForObjectDetection"
            self._model = getattr(transformers, kind).from_pretrained(folder, **SAFE).to(device).eval()
            reader = transformers.AutoProcessor if self._zero_shot else transformers.AutoImageProcessor
            self._processor: Any = reader.from_pretrained(folder, **local)
        self._labels, self._device = list(labels or ()), device
        self._names = {int(number): str(name) for number, name in config.id2label.items()}
        unknown = [label for label in self._labels if not self._zero_shot and label not in self._names.values()]
        if unknown:
            raise VestigeError(f"detector: {path}: does not know {unknown[0]!r}; it knows {_some(self._names)}")
        self._name = f"{folder.name} {fingerprint(folder)}"

    @property
    def provenance(self) -> str:
        return f"detected by {self._name}" + (f" among {', '.join(self._labels)}" if self._labels else "")

    def detect(self, pictures: Sequence[Image.Image], threshold: float) -> list[list[Detection]]:
        sizes = [(picture.height, picture.width) for picture in pictures]
        wanted = [self._labels] * len(pictures)
        text = {"text": wanted} if self._zero_shot else {}
        inputs = self._processor(images=list(pictures), return_tensors="pt", **text).to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        if not self._zero_shot:
            found = self._processor.post_process_object_detection(outputs, threshold=threshold, target_sizes=sizes)
            named = [[self._names[label] for label in one["labels"].tolist()] for one in found]
        else:
            finish = self._processor.post_process_grounded_object_detection
            # Grounding DINO finds its labels in the words it was asked with; others number them.
            asked = {"input_ids": inputs["input_ids"]} if "input_ids" in inspect.signature(finish).parameters else {}
            found = finish(outputs, threshold=threshold, target_sizes=sizes, text_labels=wanted, **asked)
            named = [[str(label) for label in one["text_labels"]] for one in found]
        every = [
            _detections(names, one["scores"], one["boxes"], threshold) for names, one in zip(named, found, strict=True)
        ]
        allowed = set(self._labels)
        return [[one for one in picture if not allowed or one.label in allowed] for picture in every]


def _detections(labels: Sequence[str], scores: torch.Tensor, boxes: torch.Tensor, threshold: float) -> list[Detection]:
    numbers = [tuple(box) for box in boxes.float().cpu().tolist()]
    every = [
        Detection(label, score, box)
        for label, score, box in zip(labels, scores.float().cpu().tolist(), numbers, strict=True)
        if score >= threshold and label not in {"__background__", "N/A"}
    ]
    return sorted(every, key=lambda detection: -detection.score)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError("it holds no tensors by name")
    return state


def _published_names(architecture: str) -> list[str]:
    from torchvision import models

    return list(models.get_model_weights(architecture)["DEFAULT"].meta["categories"])


def _some(names: dict[int, str]) -> str:
    shown = sorted(set(names.values()))
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")
