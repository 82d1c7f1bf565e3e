"""Generated captions on disk and beside a source's own."""

import pyarrow as pa
import pytest

from lexicons import write_database
from vestige import cli
from vestige.captioning import CaptionConfig, write_captions
from vestige.data import open_source
from vestige.data.generation.captions import SCHEMA, with_captions
from vestige.data.generation.wordnet import WordnetConfig
from vestige.data.memory import SampleList
from vestige.errors import VestigeError
from vestige.files import read_table, write_table
from vestige.samples import Sample


@pytest.fixture
def source():
    earlier = {"caption 2": "somebody else"}
    return SampleList([Sample("a", "a", captions=("one", "two"), generated=earlier), Sample("b", "b", captions=("b",))])


def write(path, *rows):
    write_table(path, pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=False)) for row in rows], schema=SCHEMA))
    return path


def test_new_captions_follow_the_own_ones_and_say_what_made_them(source, tmp_path, capsys):
    path = write(tmp_path / "c.parquet", ("a", ["three", "two", " four ", ""], "a model"), ("gone", ["x"], "a model"))
    changed = with_captions(source, path)
    a, b = changed.samples(["a", "b"])
    assert a.captions == ("one", "two", "three", "four")
    assert a.generated == {"caption 2": "somebody else", "caption 3": "a model", "caption 4": "a model"}
    assert (b.captions, b.generated) == (("b",), {})
    assert (len(changed), list(changed.keys())) == (2, ["a", "b"])
    said = capsys.readouterr().err
    assert "1 samples have an entry, 1 have none; 1 entries are of keys that the data do not have" in said
    # Two files, one after the other.
    again = with_captions(changed, write(tmp_path / "d.parquet", ("a", ["five"], "another")))
    assert next(again.samples(["a"])).generated["caption 5"] == "another"


def test_files_that_are_not_captions(source, tmp_path):
    def refused(path):
        with pytest.raises(VestigeError) as error:
            with_captions(source, path)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "no such file of captions" in refused(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("key,captions")
    assert "not a Parquet table" in refused(tmp_path / "text.parquet")
    write_table(tmp_path / "other.parquet", pa.table({"key": ["a"], "text": ["x"]}))
    assert "columns key, captions, provenance; found key, text" in refused(tmp_path / "other.parquet")
    write_table(tmp_path / "flat.parquet", pa.table({"key": ["a"], "captions": ["x"], "provenance": ["p"]}))
    assert "lists of text" in refused(tmp_path / "flat.parquet")
    assert "'a' occurs twice" in refused(write(tmp_path / "twice.parquet", ("a", ["x"], "p"), ("a", ["y"], "p")))
    assert "its first is 'z', the first of the data is 'a'" in refused(write(tmp_path / "z.parquet", ("z", ["x"], "p")))


@pytest.fixture
def data(make_folder, tmp_path):
    folder = make_folder(5)
    for number, path in enumerate(sorted(folder.glob("*.txt"))):
        path.write_text("a red dog\n" if number < 3 else "wxyz\n")
    return folder, write_database(tmp_path / "wordnet")


def test_from_the_command_line(data, tmp_path, capsys):
    folder, database = data
    out = tmp_path / "captions.parquet"
    arguments = ["caption", f"folder:{folder}", "--with", "wordnet", "--count", "3", "--out", str(out)]
    arguments += ["--wordnet.directory", str(database)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{out}: 9 captions for 5 samples, words replaced from WordNet (synonyms, share 0.3, seed 0)" in printed
    assert "2 samples with fewer: no word of the caption has a synonym" in printed
    table = read_table(out).to_pydict()
    assert table["key"] == list(open_source(f"folder:{folder}").keys())
    assert [len(captions) for captions in table["captions"]] == [3, 3, 3, 0, 0]
    first = next(with_captions(open_source(f"folder:{folder}"), out).samples(["0000"]))
    assert first.captions[0] == "a red dog"
    assert set(first.captions[1:]) == {"a ruddy dog", "a crimson dog", "a red hound"}
    # The same again changes nothing; other settings are not mixed with it.
    before = out.read_bytes()
    assert cli.main([*arguments, "--json"]) == 0
    assert '"captions": 9' in capsys.readouterr().out
    assert cli.main([*arguments, "--count", "2"]) == 2
    assert "is there already with other count: name another --out" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_refusals(data, tmp_path, capsys):
    folder, database = data
    config = CaptionConfig(f"folder:{folder}", "wordnet", tmp_path / "c.parquet", wordnet=WordnetConfig(database))
    for change, words in (
        ({"count": 0}, "count and shard are at least 1"),
        ({"out": tmp_path / "captions.csv"}, "name a file that ends in .parquet"),
        ({"by": "rewrite"}, "set OPENAI_BASE_URL"),
        ({"by": "describe"}, "name the folder of an image-to-text model"),
    ):
        with pytest.raises(VestigeError, match=words):
            write_captions(CaptionConfig(**{**vars(config), **change}))
    for path in folder.glob("*.txt"):
        path.write_text("wxyz")
    with pytest.raises(VestigeError, match="no sample of 5 got a new caption; the first reason: no word"):
        write_captions(config)
    assert not config.out.exists()
    write_table(config.out, pa.table({"x": [1]}))
    with pytest.raises(VestigeError, match="is there already and was not made by this command"):
        write_captions(config)
