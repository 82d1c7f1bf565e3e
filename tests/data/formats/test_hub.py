"""Data sets in Hugging Face's formats, written with its own library."""

import errno
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archives import picture
from vestige.data import open_source
from vestige.errors import VestigeError
from vestige.samples import Modality
from vestige.shortage import shortage

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No network, and a cache of the test's own."""
    import huggingface_hub.constants as hub
    from datasets import config

    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    for name in ("HF_DATASETS_CACHE", "HF_CACHE_HOME", "HF_MODULES_CACHE"):
        monkeypatch.setattr(config, name, tmp_path / "cache" / name)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))


def made(count: int = 4):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": datasets.List(datasets.Value("string")),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "uid": datasets.Value("string"),
            "objects": {"category": datasets.List(datasets.ClassLabel(names=["ear", "tail", "nose"]))},
        }
    )
    rows = {
        "image": [{"bytes": picture(n), "path": None} for n in range(count)],
        "caption": [[f"caption {n}", f"again {n}"] for n in range(count)],
        "label": [n % 2 for n in range(count)],
        "uid": [f"u{n}" for n in range(count)],
        "objects": [{"category": [n % 3, 2]} for n in range(count)],
    }
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("form", ["saved", "splits", "parquet"])
def test_reads_what_datasets_writes(tmp_path, form):
    folder = tmp_path / "set"
    if form == "saved":
        made().save_to_disk(folder)
    elif form == "splits":
        datasets.DatasetDict(train=made(), test=made(2)).save_to_disk(folder)
    else:
        folder.mkdir()
        made().to_parquet(folder / "train-00000-of-00001.parquet")
    source = open_source(f"hf:{folder}", objects="objects.category")
    assert list(source.keys()) == ["u0", "u1", "u2", "u3"]
    third, first = source.samples(["u2", "u0"])
    assert third.media == {Modality.IMAGE: picture(2)}
    assert (third.captions, third.label, third.objects) == (("caption 2", "again 2"), "cat", ("nose",))
    assert (first.label, first.objects, first.group) == ("cat", ("ear", "nose"), "u0")
    named = open_source(f"hf:{folder}", caption="label", group="label")
    assert [(sample.captions, sample.group) for sample in named.samples(["u1"])] == [(("dog",), "dog")]


def test_splits(tmp_path):
    datasets.DatasetDict(validation=made(2), test=made(3)).save_to_disk(tmp_path / "set")
    with pytest.raises(VestigeError, match="several splits; there are 'validation', 'test': set split"):
        open_source(f"hf:{tmp_path / 'set'}")
    with pytest.raises(VestigeError, match="no split 'train'"):
        open_source(f"hf:{tmp_path / 'set'}", split="train")
    assert len(open_source(f"hf:{tmp_path / 'set'}", split="test")) == 3


def test_plain_parquet_of_bytes(tmp_path):
    rows = [{"image": {"bytes": picture(n), "path": f"{n}.png"}, "text": f"t{n}", "n": n // 2} for n in range(4)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = open_source(f"hf:{tmp_path}", key="n")
    assert list(source.keys()) == ["0", "1"]
    assert source.skipped() == (
        ("row 1", "the key '0' stands in row 0"),
        ("row 3", "the key '1' stands in row 2"),
    )
    assert [sample.captions for sample in source.samples(["1"])] == [("t2",)]
    assert list(open_source(f"hf:{tmp_path}").keys()) == ["0", "1", "2", "3"]


def test_paths_of_others_are_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(picture())
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "own.png").write_bytes(picture(1))
    paths = [str(tmp_path / "secret.png"), "/etc/passwd", str(folder / "own.png"), f"{folder}/../secret.png"]
    rows = [{"image": {"bytes": None, "path": path}, "text": "x"} for path in paths]
    rows.append({"image": {"bytes": b"x", "path": ""}, "text": "y"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    source = open_source(f"hf:{folder}")
    media = [sample.media.get(Modality.IMAGE) for sample in source.samples(source.keys())]
    assert media == [None, None, folder / "own.png", None, b"x"]


def test_rows_that_cannot_be_samples(tmp_path):
    data = datasets.Dataset.from_dict({"text": ["one", " ", None, "four"], "video": ["v", "v", "v", None]})
    data.save_to_disk(tmp_path / "set")
    source = open_source(f"hf:{tmp_path / 'set'}", group="video", video="none")
    assert list(source.keys()) == ["0"]
    assert source.skipped() == (("row 3", "no group"), ("row 1", "no caption"), ("row 2", "no caption"))


def test_two_columns_of_pictures(tmp_path):
    features = datasets.Features({"left": datasets.Image(), "right": datasets.Image(), "sound": datasets.Audio()})
    cell = {"bytes": picture(), "path": "a"}
    rows = {"left": [cell], "right": [{"bytes": b"r", "path": "b"}], "sound": [{"bytes": b"s", "path": "c"}]}
    datasets.Dataset.from_dict(rows).cast(features).save_to_disk(tmp_path / "set")
    with pytest.raises(VestigeError, match="columns 'left', 'right' hold image: set image to one"):
        open_source(f"hf:{tmp_path / 'set'}")
    source = open_source(f"hf:{tmp_path / 'set'}", image="right")
    assert next(source.samples(["0"])).media == {Modality.IMAGE: b"r", Modality.AUDIO: b"s"}


def test_refusals(tmp_path):
    with pytest.raises(VestigeError, match="no such folder, and no such data set in the local cache") as caught:
        open_source("hf:someone/nothing-of-the-kind")
    assert "\n" not in str(caught.value)
    made(1).save_to_disk(tmp_path / "set")
    for options, said in (
        ({"caption": "alt"}, "caption: no column 'alt'; there are 'image'"),
        ({"missing_captions": "no"}, "missing_captions is"),
        ({"image": "none", "caption": "none"}, "no column of pictures"),
    ):
        with pytest.raises(VestigeError, match=said):
            open_source(f"hf:{tmp_path / 'set'}", **options)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(VestigeError, match="cannot be read"):
        open_source(f"hf:{tmp_path / 'broken'}")


def test_no_code_of_a_data_set_is_run(tmp_path):
    folder, ran = tmp_path / "set", tmp_path / "ran"
    folder.mkdir()
    (folder / "set.py").write_text(f"open({str(ran)!r}, 'w').close()")
    with pytest.raises(VestigeError, match="cannot be read"):
        open_source(f"hf:{folder}")
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["x"]}), stream)
    (folder / "a.parquet").write_bytes(stream.getvalue())
    with pytest.raises(VestigeError, match="cannot be read"):
        open_source(f"hf:{folder}")
    assert not ran.exists()


def test_a_full_disk_is_not_called_unreadable(tmp_path, monkeypatch):
    made().to_parquet(tmp_path / "train-00000-of-00001.parquet")

    def full(*_, **__):
        raise datasets.exceptions.DatasetGenerationError("generating") from OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(datasets.DatasetBuilder, "download_and_prepare", full)
    with pytest.raises(datasets.exceptions.DatasetGenerationError) as raised:
        open_source(f"hf:{tmp_path}")
    assert (shortage(raised.value) or "").startswith("no space left")
