"""What a class is called, and the sentences it is put into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestige.errors import VestigeError
from vestige.files import read_json
from vestige.samples import Modality

TEMPLATES: Mapping[Modality, tuple[str, ...]] = {
    Modality.IMAGE: (
        "{}",
        "a {}",
        "a picture of {}",
        "a picture of a {}",
        "a photo of a {}",
        "a drawing of a {}",
        "an image that shows {}",
    ),
    Modality.AUDIO: ("{}", "a {}", "the sound of {}", "the sound of a {}", "a recording of {}", "one hears {}"),
    Modality.VIDEO: ("{}", "a {}", "a video of {}", "a film that shows {}", "a clip of a {}"),
}
"""By medium. Several sentences a class make its embedding less dependent on the words of one."""


@dataclass(frozen=True)
class Prompts:
    """The words of zero-shot classes.

    Attributes:
        templates: sentences with {} where the name goes; those of the medium when there are none.
        names: by label, what it is called; a label that is not here is called by its own words.
    """

    templates: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, label: str, modality: Modality) -> list[str]:
        """All prompts of a class, each once."""
        templates = self.templates or TEMPLATES[modality]
        names = self.names.get(label) or (spoken(label),)
        return list(dict.fromkeys(template.replace("{}", name) for name in names for template in templates))


def spoken(label: str) -> str:
    """A label in words: underscores and hyphens between words become spaces."""
    return " ".join(label.replace("_", " ").replace("-", " ").split()) or label


def read_templates(path: Path) -> tuple[str, ...]:
    """Templates from a text file, one a line, {} standing for the name of the class; empty lines do not count.

    Raises:
        VestigeError: no such file, no template, or a line without {}.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise VestigeError(f"templates {path}: cannot be read: {error}") from error
    templates = tuple(line for line in lines if line)
    if not templates:
        raise VestigeError(f"templates {path}: no template there: write one a line, {{}} for the name of the class")
    for line in templates:
        if line.count("{}") != 1:
            raise VestigeError(f"templates {path}: {line!r} does not have {{}} once, where the name of the class goes")
    return templates


def read_names(path: Path, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Names of classes from a JSON file: {"label": "a name"} or {"label": ["a name", "another"]}.

    Raises:
        VestigeError: no such file, not such a JSON, or a label that the source does not have.
    """
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise VestigeError(f"class names {path}: cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise VestigeError(f'class names {path}: expected {{"label": "name", ...}}, found {type(found).__name__}')
    names: dict[str, tuple[str, ...]] = {}
    for label, own in found.items():
        listed = [own] if isinstance(own, str) else own
        if not isinstance(listed, list) or not listed or not all(isinstance(n, str) and n.strip() for n in listed):
            raise VestigeError(f"class names {path}: {label!r}: expected a name or a list of names, found {own!r}")
        if label not in labels:
            raise VestigeError(f"class names {path}: no sample has the label {label!r}; labels are {shortened(labels)}")
        names[label] = tuple(listed)
    return names


def shortened(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
