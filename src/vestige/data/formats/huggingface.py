"""Hugging Face's `datasets`, as far as it is used here: splits, columns of media that stay encoded, names of classes.

No code of a data set is run: versions of the library that could are not accepted, and of its readers only those of
plain files are.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vestige.data.formats.columns import choose
from vestige.errors import VestigeError
from vestige.samples import Modality
from vestige.shortage import shortage

READERS = frozenset({"parquet", "arrow", "json", "csv", "text", "imagefolder", "audiofolder", "videofolder"})


def load(path: Path, split: str, config: str, name: str) -> Any:
    """One split of a data set.

    Raises:
        VestigeError: it is not there, cannot be read, or has no such split; or the library is missing.
    """
    try:
        import datasets
    except ImportError as error:
        raise VestigeError(f"{name}: needs the package {error.name!r}: pip install 'vestige[hf]'") from error
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise VestigeError(
            f"{name}: datasets {datasets.__version__} can run code of a data set: install version 4 or later"
        )
    try:
        if any((path / file).is_file() for file in ("state.json", "dataset_dict.json")):
            found = datasets.load_from_disk(str(path))
            splits = found if isinstance(found, dict) else {"": found}
            return splits[_split(name, split, [*map(str, splits)])]
        builder = datasets.load_dataset_builder(str(path), config or None)
        kind = type(builder).__module__.rpartition(".")[2]
        if kind == "cache":
            # Of the local cache, where the hub cannot be reached: data that a reader has made before.
            return _take(builder, name, split)
        if kind not in READERS:
            fitting = "webdataset" if kind == "webdataset" else "another source"
            raise VestigeError(f"{name}: a data set of the kind {kind!r} is not read here: use {fitting}")
        builder.download_and_prepare()
        return _take(builder, name, split)
    except VestigeError:
        raise
    # Whatever goes wrong in there (network, cache, configuration, damaged files) has an exception of its own.
    except Exception as error:
        if shortage(error):
            raise
        reason = " ".join(str(error).split())[:300]
        if path.exists():
            raise VestigeError(f"{name}: cannot be read: {reason}") from error
        raise VestigeError(
            f"{name}: no such folder, and no such data set in the local cache or on the hub ({reason}): check the name,"
            " or fetch it where there is a network"
        ) from error


def _take(builder: Any, name: str, split: str) -> Any:
    chosen = split if "[" in split or "+" in split else _split(name, split, [*map(str, builder.info.splits or ())])
    return builder.as_dataset(split=chosen)


def _split(name: str, wanted: str, splits: Sequence[str]) -> str:
    if wanted in splits and wanted:
        return wanted
    if not wanted and (len(splits) == 1 or "train" in splits):
        return splits[0] if len(splits) == 1 else "train"
    asked = f"no split {wanted!r}" if wanted else "several splits"
    raise VestigeError(f"{name}: {asked}; there are {', '.join(map(repr, filter(None, splits))) or 'none'}: set split")


def with_media(data: Any, wanted: Mapping[Modality, str], name: str) -> tuple[Any, dict[Modality, str]]:
    """The data with its columns of media not decoded, and those columns."""
    from datasets import Audio, Image, Video

    kinds = {Modality.IMAGE: Image, Modality.AUDIO: Audio, Modality.VIDEO: Video}
    chosen: dict[Modality, str] = {}
    for modality, kind in kinds.items():
        of_kind = [column for column, feature in data.features.items() if isinstance(feature, kind)]
        column = choose(f"{name}: {modality}", wanted[modality], (), data.column_names)
        # Parquet files that others wrote say of a picture no more than that it has bytes and a path.
        plain = [column for column in (str(modality),) if column in data.column_names]
        usual = [column for column in (str(modality), "img") if column in of_kind] or of_kind or plain
        if not column and wanted[modality] != "none" and usual:
            if len(usual) > 1 and usual[0] not in {str(modality), "img"}:
                raise VestigeError(
                    f"{name}: columns {', '.join(map(repr, usual))} hold {modality}: set {modality} to one"
                )
            column = usual[0]
        if column:
            chosen[modality] = column
            if not _is_path(data.features[column]):
                data = data.cast_column(column, kind(decode=False))
        for other in of_kind:
            if other != column:
                data = data.remove_columns(other)
    return data, chosen


def own_folders(path: Path) -> list[Path]:
    """Folders in which the files of a data set may lie: its own, or the caches of the library."""
    from datasets import config
    from huggingface_hub import constants

    caches = [str(config.HF_DATASETS_CACHE), str(constants.HF_HUB_CACHE)]
    return [Path(root).resolve() for root in ([path, *caches] if path.is_dir() else caches)]


def _is_path(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in {"string", "large_string"} and type(feature).__name__ == "Value"


def reader(features: Mapping[str, Any], column: str) -> Callable[[Mapping[str, Any]], Any]:
    """What gives the value of a column of a row, with the names of classes instead of their numbers."""
    parts = [column] if column in features else column.split(".")
    feature: Any = features[parts[0]]
    for part in parts[1:]:
        inner = getattr(feature, "feature", feature)
        feature = inner.get(part) if isinstance(inner, Mapping) else None
    inner = getattr(feature, "feature", feature)
    name: Callable[[int], Any] | None = getattr(inner, "int2str", None)

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        return name(value) if name is not None and isinstance(value, int) and value >= 0 else None if name else value

    def read(row: Mapping[str, Any]) -> Any:
        value = row[parts[0]]
        for part in parts[1:]:
            value = [item.get(part) for item in value] if isinstance(value, list) else (value or {}).get(part)
        return named(value)

    return read
