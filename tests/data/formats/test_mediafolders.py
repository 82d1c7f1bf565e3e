"""Hugging Face's folders of media: as its documentation lays them out."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vestige.data import open_source
from vestige.errors import VestigeError
from vestige.samples import Modality


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


ROWS = (
    {"file_name": "0001.png", "text": "a cat, asleep", "kind": "cat", "shot": "s1"},
    {"file_name": "deep/0002.png", "text": "a dog", "kind": "dog", "shot": "s1"},
)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_metadata_in_every_form(tmp_path, form):
    write(tmp_path, "train/0001.png", "train/deep/0002.png")
    if form == "csv":
        lines = ["file_name,text,kind,shot", *(f'{r["file_name"]},"{r["text"]}",{r["kind"]},{r["shot"]}' for r in ROWS)]
        (tmp_path / "train/metadata.csv").write_text("\n".join(lines))
    elif form == "jsonl":
        (tmp_path / "train/metadata.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(list(ROWS)), tmp_path / "train/metadata.parquet")
    source = open_source(f"imagefolder:{tmp_path}", label="kind", group="shot")
    assert list(source.keys()) == ["train/0001.png", "train/deep/0002.png"]
    first, second = source.samples(source.keys())
    assert (first.captions, first.label, first.group) == (("a cat, asleep",), "cat", "s1")
    assert second.media == {Modality.IMAGE: tmp_path / "train/deep/0002.png"}
    assert source.skipped() == ()


def test_folders_are_labels(tmp_path):
    write(tmp_path, "cat/1.wav", "cat/2.flac", "guinea_pig/1.mp3", "guinea_pig/notes.txt", "cat/cover.png")
    source = open_source(f"audiofolder:{tmp_path}")
    assert list(source.keys()) == ["cat/1.wav", "cat/2.flac", "guinea_pig/1.mp3"]
    assert [(sample.label, sample.captions) for sample in source.samples(source.keys())] == [
        ("cat", ()),
        ("cat", ()),
        ("guinea_pig", ()),
    ]
    named = open_source(f"audiofolder:{tmp_path}", caption="label")
    assert [sample.captions for sample in named.samples(named.keys())] == [("cat",), ("cat",), ("guinea pig",)]


def test_several_captions_and_files_of_one_sample(tmp_path):
    write(tmp_path, "a.mp4", "a.wav", "b.mp4")
    rows = [
        {"file_name": "a.mp4", "audio_file_name": "a.wav", "caption": "one", "objects": ["cup", "hand"]},
        {"file_name": "a.mp4", "audio_file_name": "a.wav", "caption": "two"},
        {"file_name": "b.mp4", "audio_file_name": None, "caption": ["three", "four"]},
    ]
    (tmp_path / "metadata.jsonl").write_text(
        "\n".join(json.dumps(row | {"objects": row.get("objects")}) for row in rows)
    )
    source = open_source(f"videofolder:{tmp_path}", objects="objects")
    first, second = source.samples(["a.mp4", "b.mp4"])
    assert first.media == {Modality.VIDEO: tmp_path / "a.mp4", Modality.AUDIO: tmp_path / "a.wav"}
    assert (first.captions, first.objects, second.captions) == (("one", "two"), ("cup", "hand"), ("three", "four"))


def test_what_cannot_be_a_sample_is_listed(tmp_path):
    write(tmp_path / "set", "a.png", "b.png", "c.png", "unnamed.png")
    write(tmp_path, "outside.png")
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "outside.png")
    outside = ["../outside.png", str(tmp_path / "outside.png"), "..\\outside.png"]
    names = ["a.png", *outside, "gone.png", "b.png", "link.png"]
    lines = [json.dumps({"file_name": name, "caption": "x"}) for name in names]
    lines[5] = json.dumps({"file_name": "b.png", "caption": ""})
    lines += ["[1]", "{", json.dumps({"caption": "y"}), json.dumps({"file_name": "c.png", "caption": {"a": 1}})]
    (tmp_path / "set" / "metadata.jsonl").write_text("\n".join(lines))
    source = open_source(f"imagefolder:{tmp_path / 'set'}")
    assert list(source.keys()) == ["a.png"]
    listed = dict(source.skipped())
    assert [listed[f"metadata.jsonl row {row}"] for row in (2, 3, 4)] == [
        f"file_name {name!r} leads out of the folder" for name in outside
    ]
    assert listed["metadata.jsonl row 5"] == "no file 'gone.png'"
    assert listed["metadata.jsonl row 7"] == "no file 'link.png'"
    assert listed["metadata.jsonl row 8"].startswith("the line holds a JSON list")
    assert listed["metadata.jsonl row 9"].startswith("the line is not JSON")
    assert listed["metadata.jsonl row 10"] == "no file_name"
    assert listed["metadata.jsonl row 11"] == "column 'caption' holds a dict, not a text"
    assert listed["link.png"] == "a link that leads out of the folder"
    assert listed["unnamed.png"] == "no row in the metadata"
    assert listed["b.png"] == "no caption"


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("file,text\na.png,x\n", {}, "metadata.csv has no column 'file_name'; there are 'file', 'text'"),
        ("file_name,text\na.png,x\n", {"caption": "alt"}, "caption: no column 'alt'; there are 'file_name', 'text'"),
        ("file_name,text\na.png,x\n", {"links": "no"}, "links is 'skip' or 'follow', not 'no'"),
        (None, {"caption": "alt"}, "there is no metadata file"),
    ],
)
def test_refusals(tmp_path, table, options, said):
    write(tmp_path, "a.png")
    if table:
        (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(VestigeError, match=said):
        open_source(f"imagefolder:{tmp_path}", **options)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(VestigeError, match="no audio files below it"):
        open_source(f"audiofolder:{write(tmp_path / 'x', 'a.png')}")
    with pytest.raises(VestigeError, match="no such folder"):
        open_source(f"imagefolder:{tmp_path / 'none'}")
    write(tmp_path / "x", "metadata.csv", "metadata.jsonl")
    with pytest.raises(VestigeError, match="two metadata files"):
        open_source(f"imagefolder:{tmp_path / 'x'}")
    broken = write(tmp_path / "y", "a.png", "metadata.parquet")
    with pytest.raises(VestigeError, match=r"metadata\.parquet cannot be read"):
        open_source(f"imagefolder:{broken}")


def test_a_folder_of_other_files_says_what_is_there(tmp_path):
    write(tmp_path, "a.d/1.HEIC", "a.d/2.heic", "README")
    for kind in ("imagefolder", "folder"):
        with pytest.raises(VestigeError, match=r"found 2 \.heic, 1 without ending$"):
            open_source(f"{kind}:{tmp_path}")
