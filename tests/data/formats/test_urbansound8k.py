"""UrbanSound8K in its publisher's layout, and the one line for what is not."""

from pathlib import Path

import pytest

from vestige.data import Skipping, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ROWS = (
    "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark",
    "100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing",
    "100263-2-0-121.wav,100263,60.5,64.5,1,5,2,children_playing",
    "100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn",
)


def write(folder: Path, *rows: str, header: str = HEADER, end: str = "\n", encoding: str = "utf-8") -> str:
    (folder / "metadata").mkdir(exist_ok=True)
    table = folder / "metadata" / "UrbanSound8K.csv"
    table.write_text(end.join((header, *rows)) + end, encoding=encoding, newline="")
    for fold in (5, 10):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        fields = row.split(",")
        (folder / "audio" / f"fold{fields[5]}" / fields[0]).touch()
    return f"urbansound8k:{folder}"


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig")])
def test_slices_of_one_recording_are_one_group(tmp_path, end, encoding):
    source = open_source(write(tmp_path, *ROWS, end=end, encoding=encoding))
    assert isinstance(source, Skipping)
    assert list(source.keys()) == ["100032-3-0-0", "100263-2-0-117", "100263-2-0-121", "100648-1-0-0"]
    dog, first, second, _ = source.samples(source.keys())
    assert (dog.label, dog.captions) == ("dog_bark", ("dog bark",))
    assert dog.media == {Modality.AUDIO: tmp_path / "audio" / "fold5" / "100032-3-0-0.wav"}
    assert first.group == second.group == "100263" != dog.group


def test_folds(tmp_path):
    spec = write(tmp_path, *ROWS)
    assert list(open_source(spec, folds="10, 3").keys()) == ["100648-1-0-0"]
    assert "none of its sounds can be used (folds 7)" in refused(spec, folds="7")


def test_sounds_that_are_missing_are_listed(tmp_path):
    spec = write(tmp_path, *ROWS)
    (tmp_path / "audio" / "fold10" / "100648-1-0-0.wav").unlink()
    source = open_source(spec)
    assert isinstance(source, Skipping)
    assert source.skipped() == (("100648-1-0-0", "no file audio/fold10/100648-1-0-0.wav"),)
    assert len(source) == 3
    assert "(the first, 100648-1-0-0: no file audio/fold10" in refused(spec, folds="10")


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (ROWS, HEADER.replace("fsID", "fs"), "has no column 'fsID'; it has 'slice_file_name', 'fs'"),
        ((), "", "has no column 'slice_file_name'; it has none"),
        ((), HEADER, "none of its sounds"),
        ((ROWS[0], ROWS[0]), HEADER, "line 3: the sound '100032-3-0-0' is listed twice"),
        (("a.wav,1,0,1,1,5,3",), HEADER, "line 2 has no class"),
        (("../x.wav,1,0,1,1,5,3,siren",), HEADER, "is not a file in audio/foldN"),
        (("x.wav,1,0,1,1,5/..,3,siren",), HEADER, "is not a file in audio/foldN"),
        (('"' + "x" * (17 * 2**20),), HEADER, "cannot be read as a table"),
    ],
)
def test_tables_that_are_amiss(tmp_path, rows, header, said):
    assert said in refused(write(tmp_path, *rows, header=header))


def test_folders_that_are_none(tmp_path):
    assert "no metadata/UrbanSound8K.csv" in refused(f"urbansound8k:{tmp_path}")
    assert "no such folder" in refused(f"urbansound8k:{tmp_path / 'none'}")
    spec = write(tmp_path, *ROWS)
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_bytes(b"slice_file_name,fsID,fold,class\n\xff,1,1,x\n")
    assert "cannot be read as a table" in refused(spec)
