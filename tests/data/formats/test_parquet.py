"""Parquet tables as people and Hugging Face write them, and the one line for what is not one."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vestige.data import Skipping, open_source
from vestige.data.formats import parquet
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample


def write(path: Path, columns: dict[str, Any], rows_in_group: int = 2, metadata: dict[str, str] | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=rows_in_group)
    return f"parquet:{path}"


def read(spec: str, **options: str) -> list[Sample]:
    source = open_source(spec, **options)
    return list(source.samples(source.keys()))


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        read(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_hugging_faces_layout(tmp_path):
    (tmp_path / "b.png").touch()
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    columns = {
        "image": [{"bytes": b"A", "path": "a.png"}, {"bytes": None, "path": "b.png"}, None],
        "captions": [["one", " two "], ["three"], ["four", None, ""]],
        "label": [1, 0, 7],
        "objects": [["hat", "hat"], None, ["shoe"]],
    }
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    a, b, c = read(write(tmp_path / "train-00000-of-00001.parquet", columns, metadata=about))
    assert [sample.key for sample in (a, b, c)] == [f"train-00000-of-00001:{row}" for row in range(3)]
    assert a.media == {Modality.IMAGE: b"A"}
    assert b.media == {Modality.IMAGE: tmp_path / "b.png"}
    assert c.media == {}
    assert [sample.captions for sample in (a, b, c)] == [("one", "two"), ("three",), ("four",)]
    assert [sample.label for sample in (a, b, c)] == ["dog", "cat", "7"]
    assert [sample.objects for sample in (a, b, c)] == [("hat",), (), ("shoe",)]
    assert a.group == a.key


def test_columns_by_options(tmp_path):
    columns = {
        "pixels": pa.array([b"A", b""], pa.large_binary()),
        "noise": [b"s", None],
        "alt": ["one", "uno"],
        "alt2": ["two", "uno"],
        "number": [7, 8],
        "scene": pa.array(["s", "s"]).dictionary_encode(),
        "things": ["hat; shoe", ""],
        "image": ["not", "this"],
    }
    options = {"image_column": "pixels", "audio_column": "noise", "caption_column": "alt, alt2"}
    options |= {"key_column": "number", "group_column": "scene", "objects_column": "things"}
    a, b = read(write(tmp_path / "a.parquet", columns), **options)
    assert a == Sample("7", "s", {Modality.IMAGE: b"A", Modality.AUDIO: b"s"}, ("one", "two"), objects=("hat", "shoe"))
    assert b == Sample("8", "s", {}, ("uno",))
    (a, _) = read(f"parquet:{tmp_path / 'a.parquet'}", **options | {"image_column": "none", "key_column": "none"})
    assert (a.key, list(a.media)) == ("a:0", [Modality.AUDIO])


def test_rows_of_many_files_and_row_groups_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH", 3)
    for file in range(3):
        numbers = range(10 * file, 10 * file + 10)
        columns = {
            "id": [f"k{n}" for n in numbers],
            "text": [f"t{n}" for n in numbers],
            "jpg": [b"%d" % n for n in numbers],
        }
        write(tmp_path / "data" / f"{file}.parquet", columns, rows_in_group=4)
    for spec in (f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path}/*/?.parquet"):
        source = open_source(spec)
        assert list(source.keys()) == [f"k{n}" for n in range(30)]
        asked = [f"k{n * 7 % 30}" for n in range(30)] + ["k3", "k3", "k2"]
        found = list(source.samples(asked))
        assert [sample.key for sample in found] == asked
        for sample in found:
            number = sample.key.removeprefix("k")
            assert sample.captions == (f"t{number}",)
            assert sample.media == {Modality.IMAGE: number.encode()}
    with pytest.raises(KeyError):
        list(source.samples(["none"]))


def test_media_are_left_alone_until_asked_for(tmp_path, monkeypatch):
    spec = write(tmp_path / "a.parquet", {"image": [b"x"] * 4, "text": ["a", "b", "c", "d"]}, rows_in_group=1)
    asked = []
    groups = pq.ParquetFile.read_row_group

    def recorded(file: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        asked.extend(columns)
        return groups(file, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", recorded)
    open_source(spec)
    assert set(asked) == {"text"}


def test_rows_without_a_caption(tmp_path):
    spec = write(tmp_path / "a.parquet", {"uid": ["a", "b", "c"], "text": ["x", "", None], "image": [b"1"] * 3})
    assert "row 'b' has no caption in text" in refused(spec)
    source = open_source(spec, empty_captions="skip")
    assert isinstance(source, Skipping)
    assert (list(source.keys()), source.skipped()) == (["a"], (("b", "no caption"), ("c", "no caption")))
    spec = write(tmp_path / "b.parquet", {"text": ["", ""]})
    assert "no rows with a caption" in refused(spec, empty_captions="skip")


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"x": [1]}, {}, "no column looks like a medium or a caption; found 'x'"),
        ({"image": [1.5], "vector": [[1.0]]}, {}, "no column looks like a medium"),
        ({"text": ["a"]}, {"image_column": "jpg"}, "no column 'jpg'; found 'text': set the option image_column"),
        ({"text": [1]}, {"caption_column": "text"}, "caption_column is to hold texts, but 'text' holds int64"),
        ({"text": ["a"], "image": [[1]]}, {"image_column": "image"}, "is to hold bytes, {bytes, path} or paths"),
        ({"text": ["a", "b"], "id": [1, 1]}, {}, "the key '1' is in two rows: make keys unique, or set the option"),
        ({"text": ["a", "b"], "id": ["x", None]}, {}, "row 1 has no id"),
        ({"text": ["a", "b"], "id": ["x", " "]}, {}, "row 1 has no id"),
        ({"text": pa.array([], pa.string())}, {}, "no rows"),
        ({"text": ["a"]}, {"empty_captions": "drop"}, "empty_captions is one of error, skip"),
    ],
)
def test_tables_that_are_amiss(tmp_path, columns, options, said):
    assert said in refused(write(tmp_path / "a.parquet", columns), **options)


def test_files_that_do_not_match(tmp_path):
    write(tmp_path / "a.parquet", {"text": ["a"], "id": [1]})
    write(tmp_path / "b.parquet", {"text": ["a"]})
    assert "b.parquet: no column 'id', which the first of the files has" in refused(f"parquet:{tmp_path}")
    write(tmp_path / "b.parquet", {"text": ["a"], "id": ["x"]})
    assert "the column 'id' holds string, in the first of the files int64" in refused(f"parquet:{tmp_path}")


def test_files_that_are_none(tmp_path):
    assert "no such file, folder" in refused(f"parquet:{tmp_path / 'none.parquet'}")
    assert "no *.parquet below the folder" in refused(f"parquet:{tmp_path}")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"")
    assert "cannot be read as Parquet" in refused(f"parquet:{path}")
    write(path, {"text": [f"caption {number}" * 50 for number in range(500)]})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "cannot be read as Parquet" in refused(f"parquet:{path}")


def test_bytes_in_a_text_column_that_are_no_text(tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    assert "cannot be read as Parquet" in refused(write(tmp_path / "a.parquet", {"text": bad}))
