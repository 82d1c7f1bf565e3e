"""The cleaned set of every format: it opens, holds exactly the samples that stay, and nothing of them has changed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.cases import contents, written_scores
from layouts import layouts
from vestige.curation.clean import CleanConfig, clean
from vestige.data import open_source
from vestige.data.generation.captions import SCHEMA
from vestige.errors import VestigeError

LAYOUTS = layouts()
# Without a key column their keys are numbers of rows: those behind a row that goes change.
NUMBERED = {"parquet", "parquet-sloppy", "parquet-paths"}
# Captions that are no captions of a sample, or that several texts of a folder make.
NO_CAPTIONS = {"datacomp", "urbansound8k"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request):
    return request.param, LAYOUTS[request.param]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("media", ["link", "copy"])
def test_exactly_the_samples_that_stay(layout, keep, media, tmp_path, monkeypatch):
    name, form = layout
    data, options = form.write(tmp_path / "data")
    # Relative paths of tables lead from where one stands, too.
    monkeypatch.chdir(tmp_path / "data")
    before, source = tree(tmp_path / "data"), open_source(data, **options)
    table = written_scores(tmp_path / "scores.parquet", source.keys())
    out = tmp_path / "cleaned" / (Path(form.location).name or "set")
    result = clean(CleanConfig(table, out, top=1, keep=keep, media=media, data=data, options=options))
    gone = source.keys()[-1]
    expected = {key: own for key, own in contents(source).items() if (key == gone) == keep}
    reopened = open_source(result.summary["open"]["source"], **result.summary["open"]["options"])
    if name in NUMBERED:
        assert [own[1:] for own in contents(reopened).values()] == [own[1:] for own in expected.values()]
    else:
        assert contents(reopened) == expected
        assert list(reopened.keys()) == list(expected)
    assert result.summary["keys_stay"] == (name not in NUMBERED or not keep)
    assert tree(tmp_path / "data") == before


def test_new_captions(layout, tmp_path, monkeypatch):
    name, form = layout
    data, options = form.write(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    before, source = tree(tmp_path / "data"), open_source(data, **options)
    key = source.keys()[1]
    rows = [{"key": key, "captions": ["a new caption", 'another: "one"'], "provenance": "by hand", "reason": None}]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "captions.parquet")
    config = CleanConfig(
        written_scores(tmp_path / "scores.parquet", source.keys()),
        tmp_path / "cleaned" / (Path(form.location).name or "set"),
        top=2,
        recaption=tmp_path / "captions.parquet",
        data=data,
        options=options,
    )
    if name in NO_CAPTIONS:
        with pytest.raises(VestigeError, match="captions cannot be changed here"):
            clean(config)
        assert not list((tmp_path / "cleaned").iterdir())
        return
    result = clean(config)
    reopened = open_source(result.summary["open"]["source"], **result.summary["open"]["options"])
    old, new = contents(source), contents(reopened)
    assert list(new) == list(old)
    for own in old:
        group, captions, *rest = old[own]
        if own == key:
            assert new[own][1][0] == "a new caption"
            assert not set(new[own][1]) & set(captions)
            assert [new[own][0], *new[own][2:]] == [group, *rest]
        else:
            assert new[own] == old[own]
    counts = result.summary["counts"]
    assert (counts["recaptioned"], counts["without_new_caption"], counts["removed"]) == (1, 1, 0)
    assert tree(tmp_path / "data") == before


def test_links_lead_to_the_data_and_copies_do_not(tmp_path):
    data, _ = LAYOUTS["folder"].write(tmp_path / "data")
    table = written_scores(tmp_path / "scores.parquet", open_source(data).keys())
    for media, linked in (("link", True), ("copy", False)):
        out = tmp_path / media
        clean(CleanConfig(table, out, top=1, media=media, data=data))
        assert {path.is_symlink() for path in out.rglob("*") if path.is_file()} == {linked}


def test_rows_keep_their_bytes(tmp_path):
    table = 'filepath;title;note\r\na.png;"red; ""very""";  x \r\n\r\nb.png;"two\r\nlines";\r\nc.png;é;"last"'
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    data = f"csv:{tmp_path / 't.csv'}"
    scored = written_scores(tmp_path / "s.parquet", ["a.png", "c.png", "b.png"])
    clean(CleanConfig(scored, tmp_path / "new.csv", top=1, data=data))
    kept = table.replace('b.png;"two\r\nlines";\r\n', "")
    assert (tmp_path / "new.csv").read_bytes() == b"\xef\xbb\xbf" + kept.encode()


def test_all_rows_of_a_key_go(tmp_path):
    (tmp_path / "t.csv").write_text("filepath,title\na.png,one\nb.png,two\na.png,three\n")
    options = {"repeated_keys": "merge"}
    scored = written_scores(tmp_path / "s.parquet", ["b.png", "a.png"])
    clean(CleanConfig(scored, tmp_path / "new.csv", top=1, data=f"csv:{tmp_path / 't.csv'}", options=options))
    assert (tmp_path / "new.csv").read_text() == "filepath,title\nb.png,two\n"


def test_new_captions_go_to_the_rows_of_a_sample_in_turn(tmp_path):
    (tmp_path / "t.csv").write_text("filepath,title\na.png,one\nb.png,two\na.png,three\nb.png,four\n")
    rows = [
        {"key": "a.png", "captions": ["new", "newer", "newest"], "provenance": "by hand", "reason": None},
        {"key": "b.png", "captions": ["only"], "provenance": "by hand", "reason": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "c.parquet")
    scored = written_scores(tmp_path / "s.parquet", ["b.png", "a.png"])
    config = CleanConfig(
        scored,
        tmp_path / "new.csv",
        top=2,
        recaption=tmp_path / "c.parquet",
        data=f"csv:{tmp_path / 't.csv'}",
        options={"repeated_keys": "merge"},
    )
    clean(config)
    assert (tmp_path / "new.csv").read_text() == "filepath,title\na.png,new\nb.png,only\na.png,newer\n"


def test_members_of_archives_keep_their_bytes(tmp_path):
    data, _ = LAYOUTS["webdataset-gnu"].write(tmp_path / "data")
    options = {"missing_captions": "keep"}
    source = open_source(data, **options)
    table = written_scores(tmp_path / "s.parquet", source.keys())
    clean(CleanConfig(table, tmp_path / "new.tar", top=1, data=data, options=options))
    old, new = (tmp_path / "data" / "0.tar").read_bytes(), (tmp_path / "new.tar").read_bytes()
    # The first sample's members, long names and all, and the end mark; nothing else.
    first = new.rstrip(b"\0")
    assert old.startswith(first)
    assert source.keys()[1].encode() not in new
    assert len(new) % 512 == 0


def test_a_sample_whose_key_is_repeated_goes_with_its_repetitions(tmp_path):
    from layouts import _samples, _tar

    one = _samples("000", "001", uid="yes")
    twin = {name.replace("000", "00f"): data for name, data in one.items() if name.startswith("000")}
    (tmp_path / "0.tar").write_bytes(_tar(one | twin))
    data, options = f"webdataset:{tmp_path / '0.tar'}", {"key": "json:uid"}
    source = open_source(data, **options)
    assert len(source.keys()) == 2
    table = written_scores(tmp_path / "s.parquet", [source.keys()[1], source.keys()[0]])
    result = clean(CleanConfig(table, tmp_path / "new.tar", top=1, data=data, options=options))
    assert result.summary["samples_read_back"] == 1


def test_keys_that_carried_their_archive_may_lose_it(tmp_path):
    from layouts import _samples, _tar

    for name in ("one", "two"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.tar").write_bytes(
            _tar(_samples("000") | ({} if name == "one" else _samples("7")))
        )
    data = f"webdataset:{tmp_path / 'data'}"
    assert list(open_source(data).keys()) == ["one/000", "two/000", "two/7"]
    table = written_scores(tmp_path / "s.parquet", ["two/000", "two/7", "one/000"])
    summary = clean(CleanConfig(table, tmp_path / "new", top=1, data=data)).summary
    assert not summary["keys_stay"]
    assert list(open_source(f"webdataset:{tmp_path / 'new'}").keys()) == ["000", "7"]
    assert any("keys have changed" in note for note in summary["notes"])


def test_parquet_keeps_schema_metadata_row_groups_and_compression(tmp_path):
    schema = pa.schema({"key": pa.string(), "image": pa.binary(), "caption": pa.large_string()}, {"huggingface": "{}"})
    rows = {"key": list("abcdef"), "image": [b"x"] * 6, "caption": list("uvwxyz")}
    pq.write_table(pa.table(rows, schema=schema), tmp_path / "t.parquet", row_group_size=2, compression="gzip")
    table = written_scores(tmp_path / "s.parquet", ["a", "b", "c"])
    clean(CleanConfig(table, tmp_path / "new.parquet", top=1, data=f"parquet:{tmp_path / 't.parquet'}"))
    with pq.ParquetFile(tmp_path / "new.parquet") as new:
        assert new.schema_arrow.equals(schema, check_metadata=True)
        assert [new.metadata.row_group(number).num_rows for number in range(3)] == [2, 1, 2]
        assert new.metadata.row_group(0).column(1).compression == "GZIP"
        assert new.read()["key"].to_pylist() == list("abdef")


def test_relative_paths_that_are_lost_are_said(tmp_path, monkeypatch):
    data, options = LAYOUTS["csv"].write(tmp_path / "data")
    table = written_scores(tmp_path / "s.parquet", open_source(data, **options).keys())

    def notes(out: Path) -> list[str]:
        return clean(CleanConfig(table, out, top=1, data=data, options=options)).summary["notes"]

    assert "lead from" in notes(tmp_path / "elsewhere" / "t.csv")[0]
    assert not notes(tmp_path / "data" / "beside.csv")
    monkeypatch.chdir(tmp_path / "data")
    assert not notes(tmp_path / "third" / "t.csv")


def test_datacomp_gets_its_sorted_list_of_uids(tmp_path):
    import numpy as np

    data, _ = LAYOUTS["datacomp"].write(tmp_path / "data")
    keys = list(open_source(data).keys())
    table = written_scores(tmp_path / "s.parquet", [keys[0], keys[2], keys[1]])
    clean(CleanConfig(table, tmp_path / "kept.npy", top=1, data=data))
    uids = np.load(tmp_path / "kept.npy", allow_pickle=False)
    assert uids.dtype == np.dtype("u8,u8")
    assert uids.tolist() == sorted((int(key[:16], 16), int(key[16:], 16)) for key in (keys[0], keys[2]))


def test_a_built_in_collection(tmp_path):
    source = open_source("twemoji")
    keys = list(source.keys())
    table = written_scores(tmp_path / "s.parquet", keys)
    result = clean(CleanConfig(table, tmp_path / "kept", top=3900, data="twemoji"))
    expected = contents_of(source, keys[:53])
    reopened = open_source(result.summary["open"]["source"], **result.summary["open"]["options"])
    assert contents(reopened) == expected
    assert (tmp_path / "kept" / "keys.txt").read_text(encoding="utf-8").splitlines() == keys[:53]
    lines = (tmp_path / "kept" / "captions.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + sum(len(own[1]) for own in expected.values())


def contents_of(source, keys):
    from curation.cases import facts

    return {sample.key: facts(sample) for sample in source.samples(keys)}


def test_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    from archives import picture

    features = datasets.Features(
        {"id": datasets.Value("string"), "image": datasets.Image(), "text": datasets.Value("string")}
    )
    rows = [
        {"id": key, "image": {"bytes": picture(number), "path": None}, "text": f"text {key}"}
        for number, key in enumerate("abcd")
    ]
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "data"))
    data = f"hf:{tmp_path / 'data'}"
    source = open_source(data)
    table = written_scores(tmp_path / "s.parquet", ["a", "d", "c", "b"])
    result = clean(CleanConfig(table, tmp_path / "new", top=2, data=data))
    before = contents(source)
    assert contents(open_source(result.summary["open"]["source"])) == {key: before[key] for key in "ad"}
    assert datasets.load_from_disk(str(tmp_path / "new")).features == features
    rows = [{"key": "b", "captions": ["new"], "provenance": "by hand", "reason": None}]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "c.parquet")
    config = CleanConfig(table, tmp_path / "again", top=2, data=data, recaption=tmp_path / "c.parquet")
    after = contents(open_source(clean(config).summary["open"]["source"]))
    assert after == before | {"b": (*before["b"][:1], ("new",), *before["b"][2:])}
