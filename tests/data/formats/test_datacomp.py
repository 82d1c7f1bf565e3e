"""DataComp in the layout its downloader leaves, and the one line for what is not."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archives import picture, write_tar
from vestige.data import Skipping, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality

UIDS = [f"{number:016x}{number * 7:016x}" for number in range(1, 6)]


def write(folder: Path, metadata: bool = True) -> str:
    """Five rows of metadata; the fourth could not be downloaded; two shards."""
    for shard, numbers in enumerate(((0, 1), (2, 4))):
        files: dict[str, bytes] = {}
        for place, number in enumerate(numbers):
            name = f"{shard:05d}{place:04d}"
            files[f"{name}.jpg"] = picture(number)
            files[f"{name}.txt"] = f"from the archive {number}".encode()
            about = {"uid": UIDS[number], "url": f"https://x.example/{number}", "key": name, "status": "success"}
            files[f"{name}.json"] = json.dumps(about).encode()
        path = folder / "shards" / "small" / f"{shard:05d}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tar(path, files)
    if metadata:
        table = {
            "uid": UIDS,
            "url": [f"https://x.example/{number}" for number in range(5)],
            "text": ["zero", "one", "two", "three", ""],
            "blip": ["ZERO", "ONE", "TWO", "THREE", "FOUR"],
            "clip_b32_similarity_score": [0.2] * 5,
        }
        path = folder / "metadata" / "small" / "0000.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path)
    return f"datacomp:{folder}"


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pictures_of_the_archives_and_captions_of_the_metadata(tmp_path):
    source = open_source(write(tmp_path))
    assert isinstance(source, Skipping)
    assert list(source.keys()) == [UIDS[number] for number in (0, 1, 2, 4)]
    last, first = source.samples([UIDS[4], UIDS[0]])
    assert (first.key, first.captions) == (UIDS[0], ("zero",))
    assert first.media == {Modality.IMAGE: picture(0)}
    assert last.captions == ("from the archive 4",)
    both = open_source(f"datacomp:{tmp_path}", caption_column="text,blip")
    assert next(both.samples([UIDS[2]])).captions == ("two", "TWO")


def test_without_metadata(tmp_path):
    spec = write(tmp_path, metadata=False)
    for where in (spec, f"{spec}/shards/small"):
        source = open_source(where)
        assert [sample.captions[0] for sample in source.samples(source.keys())][:2] == [
            "from the archive 0",
            "from the archive 1",
        ]


def test_a_subset_as_the_filters_write_it(tmp_path):
    spec = write(tmp_path)
    pairs = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in (UIDS[2], UIDS[3])]
    np.save(tmp_path / "subset.npy", np.array(pairs, np.dtype("u8,u8")))
    assert list(open_source(spec, subset=str(tmp_path / "subset.npy")).keys()) == [UIDS[2]]
    np.save(tmp_path / "subset.npy", np.array(pairs[1:], np.dtype("u8,u8")))
    assert "none of its samples is in the subset" in refused(spec, subset=str(tmp_path / "subset.npy"))
    np.save(tmp_path / "subset.npy", np.zeros((2, 2)))
    assert "holds float64 [2, 2], not a list of pairs" in refused(spec, subset=str(tmp_path / "subset.npy"))
    np.save(tmp_path / "subset.npy", np.array([{}]), allow_pickle=True)
    assert "cannot be read as .npy" in refused(spec, subset=str(tmp_path / "subset.npy"))
    assert "cannot be read as .npy" in refused(spec, subset=str(tmp_path / "none.npy"))


def test_folders_that_are_none(tmp_path):
    assert "no archives below shards/" in refused(f"datacomp:{tmp_path}")
    assert "no such folder" in refused(f"datacomp:{tmp_path / 'none'}")
    spec = write(tmp_path)
    assert "no column 'texts'; found 'uid', 'url', 'text'" in refused(spec, caption_column="texts")
    (tmp_path / "metadata" / "small" / "0000.parquet").write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in refused(spec)
