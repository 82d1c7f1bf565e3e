"""Objects from label files of every form, beside a source."""

import json

import pyarrow as pa
import pytest

from vestige.data.memory import SampleList
from vestige.data.objects import read_objects, with_objects
from vestige.errors import VestigeError
from vestige.files import write_table
from vestige.samples import Sample


@pytest.fixture
def source():
    return SampleList([Sample(key, key, captions=(key,), objects=("own",)) for key in ("a", "b", "c")])


RECORDS = [
    {"key": "a", "labels": ["Dogs", "cat", "dog"], "scores": [0.9, 0.2, 0.8]},
    {"key": "b", "labels": [], "scores": []},
    {"key": "gone", "labels": ["cat"], "scores": [0.7]},
]


def json_mapping(path):
    path = path / "o.json"
    path.write_text(json.dumps({"a": {"Dogs": 0.9, "cat": 0.2, "dog": 0.8}, "b": {}, "gone": {"cat": 0.7}}))
    return path


def json_records(path):
    path = path / "o.json"
    path.write_text(json.dumps(RECORDS))
    return path


def json_lines(path):
    path = path / "o.jsonl"
    path.write_text("\n".join(map(json.dumps, RECORDS)) + "\n\n")
    return path


def table(path):
    path = path / "o.csv"
    path.write_text("key,label,score\na,Dogs,0.9\na,cat,.2\na,dog,0.8\nb,,\ngone,cat,0.7\n")
    return path


def parquet(path):
    path = path / "o.parquet"
    columns = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
    write_table(path, pa.table(columns | {"boxes": [[[0.0]], [], []]}))
    return path


@pytest.mark.parametrize("written", [json_mapping, json_records, json_lines, table, parquet])
def test_every_form_says_the_same(source, tmp_path, written, capsys):
    path = written(tmp_path)
    objects = read_objects(path, threshold=0.5)
    assert objects.names == {"a": ("dog",), "b": (), "gone": ("cat",)}
    assert (objects.below, objects.merges, objects.skipped) == (1, {"dog": {"Dogs": 1, "dog": 1}}, ())
    changed = with_objects(source, path, threshold=0.5)
    # An entry without objects says that there are none; no entry says nothing.
    assert [sample.objects for sample in changed.samples("abc")] == [("dog",), (), ("own",)]
    said = capsys.readouterr().err
    assert "2 samples have an entry, 1 have none; 1 entries are of keys that the data do not have" in said
    assert "2 spellings became 1 names; 1 labels below the threshold 0.5; 0 entries cannot be used" in said
    assert read_objects(path).names["a"] == ("dog", "cat")


def test_labels_without_scores_and_joined_ones(tmp_path):
    path = tmp_path / "o.csv"
    path.write_text("key,objects\na,red dogs; cat;\nb,bird\nb,fish\n")
    assert read_objects(path, threshold=0.9).names == {"a": ("red dog", "cat"), "b": ("bird", "fish")}
    path = tmp_path / "o.json"
    path.write_text(json.dumps({"a": ["dog", "pup"], "b": "cat"}))
    (tmp_path / "s.csv").write_text("pup,dog\n")
    assert read_objects(path, synonyms=tmp_path / "s.csv").names == {"a": ("dog",), "b": ("cat",)}


def test_what_cannot_be_used_is_listed(tmp_path, source, capsys):
    records = [
        {"key": "a", "labels": ["dog", 7, "..."], "scores": [0.5, 0.5, 0.5]},
        {"labels": ["cat"]},
        {"key": "b", "labels": ["cat", "bird"], "scores": [0.5]},
        {"key": "c", "labels": ["cat"], "scores": ["high"]},
    ]
    path = tmp_path / "o.json"
    path.write_text(json.dumps(records))
    objects = read_objects(path)
    assert objects.names == {"a": ("dog",), "b": (), "c": ()}
    assert objects.skipped == (
        ("record 1", "the label '7' is no name"),
        ("record 1", "the label '...' is no name"),
        ("record 2", "has no key"),
        ("record 3", "the score of 'cat' is nan"),
        ("record 3", "the score of 'bird' is nan"),
        ("record 4", "the score of 'cat' is nan"),
    )
    with_objects(source, path)
    assert "6 entries cannot be used, the first: record 1: the label '7' is no name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("o.json", "{", "objects cannot be read"),
        ("o.json", "3", "expected a mapping of keys"),
        ("o.json", "[3]", "record 1 is '3'"),
        ("o.json", "{}", "has no entries"),
        ("o.jsonl", '{"key": 1}\n{', "objects cannot be read"),
        ("o.csv", "image,label\na,b\n", "columns key, labels and perhaps scores; found image, label"),
        ("o.parquet", "nothing", "objects cannot be read"),
        ("o.txt", "a dog", "end in .json, .jsonl, .csv, .parquet"),
        ("o.json", '{"z": ["dog"]}', "no key of it is a key of the data"),
    ],
)
def test_bad_files(source, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(VestigeError, match=words) as error:
        with_objects(source, tmp_path / name)
    assert "\n" not in str(error.value)


def test_bad_arguments(source, tmp_path):
    with pytest.raises(VestigeError, match="no such file of objects"):
        with_objects(source, tmp_path / "none.json")
    with pytest.raises(VestigeError, match="score from 0 to 1, not 50"):
        with_objects(source, tmp_path / "none.json", threshold=50)
