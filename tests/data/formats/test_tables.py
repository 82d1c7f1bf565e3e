"""The csv reader: what it takes, and the one line it says of what it does not."""

from pathlib import Path

import pytest

from vestige.data import open_source
from vestige.data.formats import rows
from vestige.errors import VestigeError
from vestige.samples import Modality


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_text(text, encoding=encoding)
    return f"csv:{path}"


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_reads_openclips_table_with_tabs(tmp_path):
    source = open_source(write(tmp_path / "t.csv", "filepath\ttitle\na.png\ta cat, asleep\nb.png\tein Hündchen\n"))
    first, second = source.samples(source.keys())
    assert (first.key, first.captions, first.media[Modality.IMAGE]) == ("a.png", ("a cat, asleep",), Path("a.png"))
    assert second.captions == ("ein Hündchen",)


@pytest.mark.parametrize(("name", "sign"), [("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("bar", "|")])
def test_finds_the_separator(tmp_path, name, sign):
    spec = write(tmp_path / "t.csv", f'path{sign}text{sign}id\nx/a.png{sign}"one{sign} two"{sign}7\n')
    for options in ({}, {"separator": name}, {"separator": sign}):
        source = open_source(spec, image_column="path", caption_column="text", key_column="id", **options)
        (sample,) = source.samples(source.keys())
        assert (sample.key, sample.captions) == ("7", (f"one{sign} two",))


def test_pictures_are_looked_up_beside_the_table_first(tmp_path):
    (tmp_path / "a.png").touch()
    source = open_source(write(tmp_path / "t.csv", "filepath,title\na.png,one\nelsewhere.png,two\n"))
    beside, elsewhere = (sample.media[Modality.IMAGE] for sample in source.samples(source.keys()))
    assert (beside, elsewhere) == (tmp_path / "a.png", Path("elsewhere.png"))


def test_groups_and_a_byte_order_mark(tmp_path):
    spec = write(tmp_path / "t.csv", "filepath,title,video\na.png,one,v1\nb.png,two,v1\n", "utf-8-sig")
    source = open_source(spec, group_column="video")
    assert [sample.group for sample in source.samples(source.keys())] == ["v1", "v1"]


def test_columns_that_are_not_there_name_those_that_are(tmp_path):
    message = refused(write(tmp_path / "t.csv", "image,text\na.png,one\n"))
    assert "'filepath'" in message
    assert "'image', 'text'" in message
    assert "comma" in message


def test_a_mix_up_of_tab_and_comma(tmp_path):
    message = refused(write(tmp_path / "t.csv", "filepath,title\na.png,one\n"), separator="tab")
    assert "'tab'" in message
    assert "does not occur" in message
    message = refused(write(tmp_path / "u.csv", "filepath\ttitle\na.png,one\n"))
    assert "line 2 has 1 fields, the header 2" in message


def test_an_empty_caption(tmp_path):
    spec = write(tmp_path / "t.csv", "filepath,title\na.png,one\nb.png,  \n")
    assert "line 3 (b.png) has an empty caption" in refused(spec)
    assert list(open_source(spec, empty_captions="skip").keys()) == ["a.png"]


def test_duplicate_keys(tmp_path):
    spec = write(tmp_path / "t.csv", "filepath,title\na.png,one\nb.png,x\na.png,two\n")
    assert "duplicate key 'a.png' in lines 2 and 4" in refused(spec)
    source = open_source(spec, repeated_keys="merge")
    assert [sample.captions for sample in source.samples(source.keys())] == [("one", "two"), ("x",)]


def test_one_key_for_two_pictures_is_not_merged(tmp_path):
    spec = write(tmp_path / "t.csv", "filepath,title,id\na.png,one,1\nb.png,two,1\n")
    assert "but not the picture" in refused(spec, key_column="id", repeated_keys="merge")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("filepath,title\n", "no rows"),
        ("filepath,title\n,one\n", "line 2 has no path"),
        ("filepath,title,title\na,b,c\n", "twice"),
        ('filepath,title\na.png,"open\n' + "x" * (17 * 2**20), "cannot be read as a table"),
    ],
)
def test_tables_that_are_none(tmp_path, text, said):
    assert said in refused(write(tmp_path / "t.csv", text))


def test_text_that_is_not_utf8(tmp_path):
    assert "not UTF-8" in refused(write(tmp_path / "t.csv", "filepath,title\na.png,Hündchen\n", "latin-1"))


def test_files_and_options_that_are_not_there(tmp_path):
    assert "no such file" in refused(f"csv:{tmp_path / 'none.csv'}")
    assert "not a file" in refused(f"csv:{tmp_path}")
    spec = write(tmp_path / "t.csv", "filepath,title\na.png,one\n")
    assert "no option 'colunm'; its options: image_column" in refused(spec, colunm="x")
    assert "empty_captions is one of error, skip" in refused(spec, empty_captions="drop")


def test_an_unknown_source_names_the_known_and_guesses(tmp_path):
    assert "twemoji" in refused("imagenet")
    assert f"try folder:{tmp_path}" in refused(str(tmp_path))


def test_guesses_by_what_a_path_holds(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "0.tar").touch()
    (tmp_path / "labelled").mkdir()
    (tmp_path / "labelled" / "metadata.csv").touch()
    assert f"try webdataset:{tmp_path}/shards" in refused(f"{tmp_path}/shards")
    assert f"try webdataset:{tmp_path}/shards/0.tar" in refused(f"{tmp_path}/shards/0.tar")
    assert f"try imagefolder:{tmp_path}/labelled" in refused(f"{tmp_path}/labelled")
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "pool" / "metadata").mkdir(parents=True)
    (tmp_path / "pool" / "shards").mkdir()
    (tmp_path / "sounds" / "metadata").mkdir(parents=True)
    (tmp_path / "sounds" / "metadata" / "UrbanSound8K.csv").touch()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "MSRVTT_data.json").touch()
    for kind, name in (("coco", "coco"), ("datacomp", "pool"), ("urbansound8k", "sounds"), ("msrvtt", "clips")):
        assert f"try {kind}:{tmp_path}/{name}" in refused(f"{tmp_path}/{name}")
    assert "try parquet:a.parquet" in refused("a.parquet")


def test_a_format_without_a_location():
    assert "csv is a format: name the file or folder too, as csv:LOCATION" in refused("csv")
    assert "coco:LOCATION" in refused("coco:")


@pytest.mark.parametrize("block", [1, 60, 1 << 20])
@pytest.mark.parametrize("how", ["error", "merge"])
def test_all_samples_in_order_are_those_that_are_looked_up(tmp_path, monkeypatch, block, how):
    """Quotes, line breaks, blank lines and rows left out, over the borders of blocks."""
    monkeypatch.setattr(rows, "BLOCK", block)
    table = 'id,filepath,title,video,tags\n1,a.png,"one\n""line"", two",v,cat; dog;;cat\n2,b.png,,v,\n\n'
    table += "".join(f"{number},c.png,caption {number},w{number % 3},tag {number}\n" for number in range(3, 20))
    path = tmp_path / "t.csv"
    path.write_bytes(table.encode() + b"20,d.png,\xff,x,\n21,e.png,last,x,")
    source = open_source(
        f"csv:{path}",
        key_column="id",
        group_column="video",
        objects_column="tags",
        empty_captions="skip",
        undecodable="skip",
        repeated_keys=how,
    )
    keys = list(source.keys())
    assert keys == ["1", *map(str, range(3, 20)), "21"]
    looked_up = list(source.samples(keys))
    monkeypatch.setattr(rows.RowFile, "reading", None)
    assert list(source.samples(source.keys())) == looked_up
    assert looked_up[0].objects == ("cat", "dog")
    assert [sample.group for sample in looked_up[:3]] == ["v", "w0", "w1"]


def test_all_samples_of_merged_rows(tmp_path):
    spec = write(tmp_path / "t.csv", "filepath,title\na.png,one\nb.png,two\na.png,three\n")
    source = open_source(spec, repeated_keys="merge")
    assert [sample.captions for sample in source.samples(source.keys())] == [("one", "three"), ("two",)]
