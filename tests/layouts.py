"""A small whole collection of every format, as files by name: what tests damage, file by file."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from archives import member, picture
from recordings import film, soundfile_bytes, tone


@dataclass(frozen=True)
class Layout:
    """A collection of a format.

    Attributes:
        form: name of the format.
        files: bytes by name, below a folder.
        location: of what is opened, below that folder.
        records: how many samples it holds.
        options: of the source; `{folder}` stands for the folder.
    """

    form: str
    files: Mapping[str, bytes]
    records: int
    location: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path, files: Mapping[str, bytes] | None = None) -> tuple[str, dict[str, str]]:
        """Write the files, or others in their place; the source's name and options."""
        for name, data in (self.files if files is None else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        options = {name: value.replace("{folder}", str(folder)) for name, value in self.options.items()}
        return f"{self.form}:{folder / self.location}", options


JPEG, PNG = "JPEG", "PNG"


def _pictures(*names: str) -> dict[str, bytes]:
    return {name: picture(number, PNG if name.endswith("png") else JPEG) for number, name in enumerate(names)}


@cache
def _sound(hertz: float = 440.0) -> bytes:
    return soundfile_bytes(tone(8_000, 0.05, hertz), 8_000, "WAV")


@cache
def _film() -> bytes:
    return film("mp4", "mpeg4", 6, keys=3, size=(32, 32))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _tar(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, data in files.items():
            info, _ = member(name, data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _parquet(columns: Mapping[str, object]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), stream, row_group_size=2)
    return stream.getvalue()


def _samples(*keys: str, uid: str = "") -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for number, key in enumerate(keys):
        about = {"caption": f"json {number}", "uid": f"{int(key, 16):032x}"} if uid else {"caption": f"json {number}"}
        files |= {f"{key}.jpg": picture(number, JPEG), f"{key}.txt": f"text {number}".encode()}
        files[f"{key}.json"] = _json(about)
    return files


def layouts() -> dict[str, Layout]:
    """All of them, by name."""
    return {**_tables(), **_records(), **_folders(), **_archives()}


def _tables() -> dict[str, Layout]:
    pictures = _pictures("a.jpg", "b.png", "sub/c.d.jpg")
    rows = [
        "filepath\ttitle\tgroup\tobjects",
        "a.jpg\tred\tg1\tcat;dog",
        "b.png\tblue\tg1\t",
        "sub/c.d.jpg\té\tg2\tcat",
    ]
    quoted = 'filepath,title\na.jpg,"red, ""very"""\nb.png,"two\nlines"\nsub/c.d.jpg,blue\n'
    cc3m = "".join(f"caption {number}\thttps://pictures.example/{number}.jpg\n" for number in range(3))
    yfcc = "".join(
        "\t".join((str(n), str(5000 + n), f"{n:032x}", *"UNTTD", f"title+{n}", "<b>text</b>", *([""] * 6)))
        + f"\thttp://x.example/{5000 + n}_a.jpg"
        + "\t" * 8
        + "0\n"
        for n in range(3)
    )
    columns = {
        "image": [{"bytes": data, "path": name} for name, data in pictures.items()],
        "caption": ["one", "two", "three"],
        "label": [0, 1, 1],
        "objects": [["cat"], None, ["cat", "dog"]],
    }
    more = {"group_column": "group", "objects_column": "objects"}
    sloppy = {"repeated_keys": "merge", "empty_captions": "skip", "undecodable": "skip"}
    table = {"t.csv": "\n".join(rows).encode() + b"\n"}
    return {
        "csv": Layout("csv", table | pictures, 3, "t.csv", more),
        "csv-sloppy": Layout("csv", table | pictures, 3, "t.csv", more | sloppy),
        "csv-quoted": Layout("csv", {"t.csv": quoted.encode()} | pictures, 3, "t.csv"),
        "csv-quoted-sloppy": Layout("csv", {"t.csv": quoted.encode()} | pictures, 3, "t.csv", sloppy),
        "tsv": Layout("tsv", {"t.tsv": cc3m.encode()} | _pictures("0.jpg", "1.jpg", "2.jpg"), 3, "t.tsv"),
        "tsv-yfcc": Layout("tsv", {"t.tsv": yfcc.encode()} | _pictures("5000.jpg", "5001.jpg", "5002.jpg"), 3, "t.tsv"),
        "parquet": Layout("parquet", {"t.parquet": _parquet(columns)}, 3, "t.parquet"),
        "parquet-sloppy": Layout(
            "parquet", {"t.parquet": _parquet(columns)}, 3, "t.parquet", {"empty_captions": "skip"}
        ),
        "parquet-paths": Layout(
            "parquet", {"t.parquet": _parquet({"image": list(pictures), "text": ["a", "b", "c"]})} | pictures, 3
        ),
    }


def _records() -> dict[str, Layout]:
    images = [{"id": n, "file_name": f"{n:012d}.jpg", "height": 24, "width": 24} for n in range(3)]
    notes = [{"image_id": n % 3, "id": n, "caption": f"caption {n}"} for n in range(5)]
    categories = [{"id": 1, "name": "cat", "supercategory": "animal"}]
    boxes = [{"image_id": 0, "category_id": 1, "id": 9}]
    coco = {
        "annotations/captions_val2017.json": _json({"info": {}, "images": images, "annotations": notes}),
        "annotations/instances_val2017.json": _json({"images": images, "annotations": boxes, "categories": categories}),
    } | {f"val2017/{n:012d}.jpg": picture(n, JPEG) for n in range(3)}
    videos = [
        {"video_id": f"video{n}", "url": f"https://x.example/{n // 2}", "split": "train", "id": n, "category": n}
        | {"start time": 1.0, "end time": 2.5}
        for n in range(3)
    ]
    sentences = [{"caption": f"sentence {n}", "video_id": f"video{n % 3}", "sen_id": n} for n in range(5)]
    msrvtt = {"train_val_videodatainfo.json": _json({"info": {}, "videos": videos, "sentences": sentences})}
    msrvtt |= {f"TrainValVideo/video{n}.mp4": _film() for n in range(3)}
    sounds = "slice_file_name,fsID,start,end,salience,fold,classID,class\n" + "".join(
        f"10{n}-3-0-0.wav,10{n},0.0,0.3,1,{n + 1},3,dog_bark\n" for n in range(3)
    )
    urban = {"metadata/UrbanSound8K.csv": sounds.encode()}
    urban |= {f"audio/fold{n + 1}/10{n}-3-0-0.wav": _sound(400.0 + n) for n in range(3)}
    return {
        "coco": Layout("coco", coco, 3),
        "msrvtt": Layout("msrvtt", msrvtt, 3),
        "urbansound8k": Layout("urbansound8k", urban, 3),
    }


def _folders() -> dict[str, Layout]:
    captions = {"a.txt": b"red\nvery red\n", "b.txt": b"blau\n", "sub/c.d.txt": "vert é\n".encode()}
    pictures = _pictures("a.jpg", "b.png", "sub/c.d.jpg")
    lines = [{"file_name": name, "text": f"text {number}"} for number, name in enumerate(pictures)]
    jsonl = {"metadata.jsonl": b"".join(_json(line) + b"\n" for line in lines)}
    table = {"metadata.csv": b"file_name,text\n" + b"".join(f"{x['file_name']},{x['text']}\n".encode() for x in lines)}
    columns = {name: [line[name] for line in lines] for name in ("file_name", "text")}
    sounds = {f"{n}.wav": _sound(400.0 + n) for n in range(3)}
    films = {f"{n}.mp4": _film() for n in range(3)}

    def metadata(names: Mapping[str, bytes]) -> bytes:
        return b"".join(_json({"file_name": name, "text": f"of {name}"}) + b"\n" for name in names)

    return {
        "folder": Layout("folder", pictures | captions, 3),
        "folder-skip": Layout("folder", pictures | captions, 3, "", {"missing_captions": "skip"}),
        "imagefolder-jsonl": Layout("imagefolder", pictures | jsonl, 3),
        "imagefolder-csv": Layout("imagefolder", pictures | table, 3),
        "imagefolder-parquet": Layout("imagefolder", pictures | {"metadata.parquet": _parquet(columns)}, 3),
        "audiofolder": Layout("audiofolder", sounds | {"metadata.jsonl": metadata(sounds)}, 3),
        "videofolder": Layout("videofolder", films | {"metadata.jsonl": metadata(films)}, 3),
    }


def _archives() -> dict[str, Layout]:
    one, two = _samples("000", "001"), _samples("002")
    kinds = {"v.mp4": _film(), "v.wav": _sound(), "v.png": picture(3), "v.json": _json({"caption": "all", "g": "1"})}
    uids = [f"{n:032x}" for n in range(3)]
    metadata = {"uid": uids, "text": ["a", "b", "c"], "url": ["u"] * 3}
    return {
        "webdataset": Layout("webdataset", {"0.tar": _tar(one), "1.tar": _tar(two)}, 3),
        "webdataset-ustar": Layout("webdataset", {"0.tar": _tar(one | two, tarfile.USTAR_FORMAT)}, 3, "0.tar"),
        "webdataset-gnu": Layout(
            "webdataset",
            {"0.tar": _tar({f"{'d' * 120}/{name}": data for name, data in one.items()}, tarfile.GNU_FORMAT)},
            2,
            "0.tar",
            {"missing_captions": "keep"},
        ),
        "webdataset-json": Layout("webdataset", {"0.tar": _tar(one | kinds)}, 3, "0.tar", {"caption": "json:caption"}),
        "datacomp": Layout(
            "datacomp",
            {
                "shards/00000000.tar": _tar(_samples("000", "001", uid="yes")),
                "shards/00000001.tar": _tar(_samples("002", uid="yes")),
                "metadata/a.parquet": _parquet(metadata),
            },
            3,
        ),
    }
