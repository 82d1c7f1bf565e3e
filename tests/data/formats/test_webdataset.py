"""WebDataset and img2dataset archives: what is read of them."""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from archives import pairs, picture, write_tar
from vestige.data import Source, open_source
from vestige.data.media import decode_picture
from vestige.errors import VestigeError
from vestige.samples import Modality


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def img2dataset(tmp_path):
    """Two shards as img2dataset writes them: a picture, its caption and its record each; statistics beside."""
    folder = tmp_path / "laion"
    for shard in range(2):
        files = {}
        for number in range(3):
            key, caption = f"{shard:05d}{number:04d}", f"caption {shard} {number}"
            record = {"caption": caption, "url": "http://x/y.jpg", "key": key, "status": "success", "sha256": "ab"}
            record |= {"uid": f"u{shard}{number}", "similarity": 0.3, "exif": "{}", "original_width": 40}
            files |= {
                f"{key}.jpg": picture(10 * shard + number, "JPEG"),
                f"{key}.json": json.dumps(record, indent=4).encode(),
                f"{key}.txt": caption.encode(),
            }
        write_tar(folder / f"{shard:05d}.tar", files)
        (folder / f"{shard:05d}_stats.json").write_text('{"count": 3}')
        (folder / f"{shard:05d}.parquet").write_bytes(b"PAR1")
    return folder


@pytest.mark.parametrize("files", ["", "/{00000..00001}.tar", "/*.tar", "/0000[01].tar", "/{00000,00001}.tar"])
def test_reads_img2datasets_shards(img2dataset, files):
    source = open_source(f"webdataset:{img2dataset}{files}")
    assert isinstance(source, Source)
    assert list(source.keys()) == [f"{shard:05d}{number:04d}" for shard in range(2) for number in range(3)]
    assert len(source) == 6
    assert source.skipped() == ()
    asked = ["000010002", "000000000", "000010000"]
    samples = list(source.samples(asked))
    assert [sample.key for sample in samples] == [sample.group for sample in samples] == asked
    assert [sample.captions for sample in samples] == [("caption 1 2",), ("caption 0 0",), ("caption 1 0",)]
    assert samples[0].media == {Modality.IMAGE: picture(12, "JPEG")}
    assert "000010002" in source.keys()
    assert "none" not in source.keys()
    with pytest.raises(KeyError, match="none"):
        list(source.samples(["none"]))


def test_several_locations_and_one_archive(img2dataset):
    both = f"webdataset:{img2dataset}/00001.tar::{img2dataset}/00000.tar"
    assert len(open_source(both)) == 6
    assert open_source(f"webdataset:{img2dataset}/00001.tar").keys()[0] == "000010000"


def test_keys_groups_and_captions_from_the_record(tmp_path):
    def record(number: int) -> bytes:
        values = {"uid": 7 + number, "video": f"v{number // 2}", "alt": ["a", " b ", "a"], "meta": {"kind": "cat"}}
        return json.dumps(values | {"tags": "sun; moon;;sun", "caption": "by default"}).encode()

    path = write_tar(
        tmp_path / "x.tar",
        {f"{n}.{end}": data for n in range(3) for end, data in (("png", picture(n)), ("json", record(n)))},
    )
    plain = open_source(f"webdataset:{path}")
    assert [sample.captions for sample in plain.samples(plain.keys())] == [("by default",)] * 3
    source = open_source(
        f"webdataset:{path}",
        key="json:uid",
        group="json:video",
        caption="json:alt,json:caption",
        label="json:meta.kind",
        objects="json:tags",
    )
    assert list(source.keys()) == ["7", "8", "9"]
    samples = list(source.samples(source.keys()))
    assert [sample.group for sample in samples] == ["v0", "v0", "v1"]
    assert samples[1].captions == ("a", "b", "by default")
    assert (samples[1].label, samples[1].objects) == ("cat", ("sun", "moon"))


def test_every_modality_and_a_label(tmp_path):
    data = {"a.wav": b"w", "a.mp4": b"m", "a.webp": b"p", "a.cls": b"3\n", "a.txt": b"x", "a.npy": b"n"}
    source = open_source(f"webdataset:{write_tar(tmp_path / 'x.tar', data)}")
    (sample,) = source.samples(source.keys())
    assert sample.media == {Modality.IMAGE: b"p", Modality.AUDIO: b"w", Modality.VIDEO: b"m"}
    assert (sample.label, sample.captions) == ("3", ("x",))


def test_keys_are_webdatasets(tmp_path):
    names = [
        "./a.jpg",
        "d.e/b.JPG",
        "d.e/c.x/k.seg.png",
        "d.e/c.x/k.jpg",
        "with space.jpg",
        "__meta__",
        "e/.hidden.jpg",
    ]
    path = write_tar(tmp_path / "x.tar", {name: name.encode() for name in names})
    source = open_source(f"webdataset:{path}")
    assert list(source.keys()) == ["./a", "d.e/b", "d.e/c.x/k", "with space"]
    assert next(source.samples(["d.e/c.x/k"])).media[Modality.IMAGE] == b"d.e/c.x/k.jpg"
    masks = open_source(f"webdataset:{path}", image=".seg.png,jpg")
    assert next(masks.samples(["d.e/c.x/k"])).media[Modality.IMAGE] == b"d.e/c.x/k.seg.png"
    assert next(masks.samples(["./a"])).media[Modality.IMAGE] == b"./a.jpg"


def test_two_pictures_of_one_sample_need_a_choice(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"a.left.jpg": b"l", "a.right.jpg": b"r", "a.wav": b"w"})
    message = refused(f"webdataset:{path}")
    assert "left.jpg, right.jpg" in message
    assert "set the option image" in message
    source = open_source(f"webdataset:{path}", image="right.jpg")
    assert next(source.samples(["a"])).media == {Modality.IMAGE: b"r", Modality.AUDIO: b"w"}
    assert next(open_source(f"webdataset:{path}", image="none").samples(["a"])).media == {Modality.AUDIO: b"w"}


def test_keys_that_begin_anew_in_every_archive(tmp_path):
    for name, keys in (("a/0", ("000", "001")), ("a/1", ("000",)), ("b/0", ("007", "000")), ("b/1", ("300",))):
        write_tar(tmp_path / f"{name}.tar", pairs(*keys))
    source = open_source(f"webdataset:{tmp_path}/*/*.tar")
    assert list(source.keys()) == ["a/0/000", "a/0/001", "a/1/000", "b/0/007", "b/0/000", "300"]
    assert [sample.captions[0][-1] for sample in source.samples(source.keys())] == list("010010")


def test_repeated_uids_are_listed(tmp_path):
    for shard in "01":
        files = {
            f"{n}.{end}": data for n in "ab" for end, data in (("jpg", b"x"), ("json", b'{"uid": "u%s"}' % n.encode()))
        }
        write_tar(
            tmp_path / f"{shard}.tar", files | ({"c.jpg": b"x", "c.json": b'{"uid": "ua"}'} if shard == "0" else {})
        )
    source = open_source(f"webdataset:{tmp_path}", key="json:uid")
    assert list(source.keys()) == ["ua", "ub"]
    assert source.skipped() == (
        ("0.tar: c", "the key 'ua' stands in this archive before"),
        ("1.tar: ua", "this key stands in 0.tar before"),
        ("1.tar: ub", "this key stands in 0.tar before"),
    )
    assert len(list(source.samples(source.keys()))) == 2


def test_files_of_a_sample_need_not_stand_side_by_side(tmp_path):
    big = bytes(200_000)
    files = {"a.jpg": b"A", "b.jpg": b"B", "b.bin": big, "a.txt": b"an a", "b.txt": b"a b"}
    source = open_source(f"webdataset:{write_tar(tmp_path / 'x.tar', files)}")
    assert [(sample.key, sample.media[Modality.IMAGE], sample.captions) for sample in source.samples(["b", "a"])] == [
        ("b", b"B", ("a b",)),
        ("a", b"A", ("an a",)),
    ]


def test_samples_without_a_caption(tmp_path):
    path = write_tar(tmp_path / "x.tar", pairs("a") | {"b.jpg": b"x", "c.jpg": b"x", "c.txt": b" \n"})
    source = open_source(f"webdataset:{path}")
    assert list(source.keys()) == ["a"]
    assert source.skipped() == (("x.tar: b", "no caption"), ("x.tar: c", "no caption"))
    kept = open_source(f"webdataset:{path}", missing_captions="keep")
    assert [sample.captions for sample in kept.samples(kept.keys())] == [("caption 0",), (), ()]
    # Nothing is amiss where no sample has one.
    assert len(open_source(f"webdataset:{write_tar(tmp_path / 'y.tar', {'a.jpg': b'x', 'a.wav': b'y'})}")) == 1


def test_a_caption_a_line(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"x", "a.txt": "\ufeffone\n\n two \n".encode()})
    assert next(open_source(f"webdataset:{path}").samples(["a"])).captions == ("one\n\n two",)
    assert next(open_source(f"webdataset:{path}", caption_lines="each").samples(["a"])).captions == ("one", "two")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_form_of_tar(tmp_path, form):
    stem = "d" * 90 + "/" + "n" * 90 if form == tarfile.USTAR_FORMAT else "d" * 300 + "/ü" + "n" * 300
    source = open_source(f"webdataset:{write_tar(tmp_path / 'x.tar', pairs(stem, 'b'), form)}")
    assert list(source.keys()) == [stem, "b"]
    assert [decode_picture(sample.media[Modality.IMAGE]).mode for sample in source.samples([stem])] == ["RGB"]


def test_threads_read_together(tmp_path):
    for shard in range(3):
        write_tar(tmp_path / f"{shard}.tar", pairs(*(f"{shard}-{n}" for n in range(20)), first=100 * shard))
    source = open_source(f"webdataset:{tmp_path}")
    keys = list(source.keys())

    def captions(turn: int) -> dict[str, tuple[str, ...]]:
        return {sample.key: sample.captions for sample in source.samples(keys[turn:] + keys[:turn])}

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(captions, range(0, 60, 7))
    assert first["2-19"] == ("caption 219",)
    assert all(other == first for other in others)


def test_more_archives_than_are_held_open(tmp_path):
    for shard in range(40):
        write_tar(tmp_path / f"{shard:02d}.tar", pairs(f"k{shard:02d}", first=shard))
    source = open_source(f"webdataset:{tmp_path}")
    asked = [*source.keys(), *source.keys()[::-1]]
    assert [sample.key for sample in source.samples(asked)] == asked


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("{00000..00003}.tar", "2 of the 4 files of this range are missing, the first is"),
        ("{0..99999999999}.tar", "more than 10,000,000 files"),
        ("*.tgz", "no files match"),
        ("none.tar", "no such file"),
    ],
)
def test_files_that_are_not_there(img2dataset, location, said):
    assert said in refused(f"webdataset:{img2dataset}/{location}")


def test_locations_and_options_that_are_none(img2dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no files ending in .tar" in refused(f"webdataset:{tmp_path / 'empty'}")
    assert "only files are read" in refused("webdataset:pipe:cat x.tar")
    assert "only files are read" in refused("webdataset:https://example.org/0.tar")
    spec = f"webdataset:{img2dataset}"
    assert "missing_captions is one of skip, keep, not 'drop'" in refused(spec, missing_captions="drop")
    assert "caption_lines is one of one, each" in refused(spec, caption_lines="2")
    assert "group is a file's ending such as txt, or json:FIELD, not 'json:'" in refused(spec, group="json:")
    assert "no json:nothing" in refused(spec, key="json:nothing")
