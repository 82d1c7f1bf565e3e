"""Archives that are broken or mean harm: what is whole is read, the rest is listed, nothing else happens."""

import gzip
import io
import tarfile

import pytest

from archives import member, pairs, picture, write_tar
from vestige.data.formats.tar import BLOCK
from vestige.data.formats.webdataset import WebDataset
from vestige.data.media import UnreadableMedia, decode_picture
from vestige.errors import VestigeError
from vestige.samples import Modality


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_cut_anywhere(tmp_path, form):
    whole = write_tar(
        tmp_path / "whole.tar", {f"{'d' * 90}/{'n' * 90}.txt": b"long", **pairs("a", "b")}, form
    ).read_bytes()
    everything = WebDataset(tmp_path / "whole.tar")
    complete = {sample.key: sample for sample in everything.samples(everything.keys())}
    cut = tmp_path / "cut.tar"
    lengths = []
    for length in sorted({*range(0, len(whole), BLOCK), *range(BLOCK // 2, len(whole), 3 * BLOCK + 1)}):
        cut.write_bytes(whole[:length])
        if length < len(whole) and whole_samples(whole, length) == 0:
            with pytest.raises(VestigeError, match=r"no samples in 1 archives|not a tar archive"):
                WebDataset(cut)
            lengths.append(0)
            continue
        source = WebDataset(cut)
        for sample in source.samples(source.keys()):
            full = complete[sample.key]
            assert sample.captions in {full.captions, ()}
            assert sample.media.items() <= full.media.items()
        lengths.append(len(source))
        assert source.skipped() or len(source) == len(complete)
    assert sorted(lengths) == lengths
    assert set(lengths) == {0, 1, 2, 3}


def whole_samples(data: bytes, length: int) -> int:
    """How many files lie whole before `length`."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return sum(info.offset_data + info.size <= length for info in tar)


def test_cut_archives_say_where(tmp_path):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b"), tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    for data, said in (
        (pairs_only(whole), "without an end mark: the file may have been cut short"),
        (whole[: whole.index(b"b.jpg") + BLOCK + 9], "within b.jpg: the file has been cut short"),
        (whole[: whole.index(b"b.jpg") + 9], "without an end mark"),
    ):
        path.write_bytes(data)
        (reason,) = (reason for place, reason in WebDataset(path).skipped() if place == "x.tar")
        assert reason.startswith(f"ends at byte {len(data)} ")
        assert said in reason


def pairs_only(whole: bytes) -> bytes:
    """An archive without the empty blocks at its end."""
    return whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % BLOCK)


def test_names_that_lead_elsewhere(tmp_path):
    names = [
        "../up.jpg",
        "a/../../up.jpg",
        "/etc/passwd.jpg",
        "C:\\windows\\x.jpg",
        "\\\\host\\x.jpg",
        "a\\..\\..\\b.jpg",
    ]
    members = dict.fromkeys(names, b"x") | pairs("good..name")
    before = sorted(tmp_path.iterdir())
    path = write_tar(tmp_path / "x.tar", members)
    source = WebDataset(path)
    assert list(source.keys()) == ["good"]
    listed = dict(source.skipped())
    assert listed["x.tar: ../up.jpg"] == listed["x.tar: a/../../up.jpg"] == "a name that leads out of its folder"
    assert listed["x.tar: a\\..\\..\\b.jpg"] == "a name that leads out of its folder"
    assert [listed[f"x.tar: {name}"] for name in names[2:5]] == ["an absolute name"] * 3
    list(source.samples(source.keys()))
    assert sorted(tmp_path.iterdir()) == sorted([*before, path])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Z", "of unknown kind b'Z'"),
    ],
)
def test_members_that_are_no_files(tmp_path, kind, said):
    odd = member("evil.jpg", type=kind, linkname="/etc/passwd")
    path = write_tar(tmp_path / "x.tar", [odd, *(member(*pair) for pair in pairs("a").items())])
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert dict(source.skipped())["x.tar: evil.jpg"].startswith(said)


def test_links_with_a_size_have_no_bytes(tmp_path):
    link, _ = member("evil.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    header = bytearray(link.tobuf(tarfile.USTAR_FORMAT))
    path = write_tar(tmp_path / "x.tar", pairs("a"), tarfile.USTAR_FORMAT)
    path.write_bytes(sized(bytes(header), b"00000777777\0") + path.read_bytes())
    assert list(WebDataset(path).keys()) == ["a"]


def sized(header: bytes, size: bytes) -> bytes:
    """A header that claims another size, with a checksum that fits."""
    claimed = bytearray(header)
    claimed[124:136] = size
    claimed[148:156] = b" " * 8
    claimed[148:156] = b"%06o\0 " % sum(claimed)
    return bytes(claimed)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (b"77777777777\0", "within b.jpg"),
        (b"\x80" + b"\xff" * 11, "within b.jpg"),
        (b"\xff" * 12, "damaged header at byte"),
        (b"-0000000512\0", "damaged header at byte"),
        (b"0x000000010\0", "damaged header at byte"),
        (b"9999999999 \0", "damaged header at byte"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, size, said):
    path = write_tar(tmp_path / "x.tar", pairs("a"), tarfile.USTAR_FORMAT)
    path.write_bytes(pairs_only(path.read_bytes()) + sized(tarfile.TarInfo("b.jpg").tobuf(), size) + bytes(4 * BLOCK))
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert said in dict(source.skipped())["x.tar"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"20 size=99999999999\n", "within b.jpg"),
        (b"13 size=-512\n", "a size that is no number"),
        (b"60 size=" + b"9" * 51 + b"\n", "a size that is no number"),
        (b"0 path=x\n", "damaged pax record"),
        (b"999 path=x\n", "damaged pax record"),
        (b"-5 path=x\n", "damaged pax record"),
        (b"no record at all", "damaged pax record"),
        (b"9 path=xy", "damaged pax record"),
    ],
)
def test_pax_records_that_cannot_be(tmp_path, record, said):
    path = write_tar(tmp_path / "x.tar", pairs("a"), tarfile.USTAR_FORMAT)
    extra = tarfile.TarInfo("PaxHeader")
    extra.type, extra.size = tarfile.XHDTYPE, len(record)
    padded = record + bytes(-len(record) % BLOCK)
    last = extra.tobuf(tarfile.USTAR_FORMAT) + padded + tarfile.TarInfo("b.jpg").tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(pairs_only(path.read_bytes()) + last + bytes(4 * BLOCK))
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert said in dict(source.skipped())["x.tar"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + b"\xff" * 11])
def test_names_of_gigabytes(tmp_path, kind, size):
    path = write_tar(tmp_path / "x.tar", pairs("a"), tarfile.USTAR_FORMAT)
    extra = tarfile.TarInfo("PaxHeader")
    extra.type = kind
    path.write_bytes(pairs_only(path.read_bytes()) + sized(extra.tobuf(), size) + bytes(4 * BLOCK))
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert "a name of " in dict(source.skipped())["x.tar"]


@pytest.mark.parametrize("hole", [1, 20])
def test_a_hole_in_the_middle_is_no_end(tmp_path, hole):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b"), tarfile.USTAR_FORMAT)
    data = path.read_bytes()
    at = data.index(b"b.jpg")
    path.write_bytes(data[:at] + bytes(hole * BLOCK) + data[at:])
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert (
        f"more follows at byte {at + hole * BLOCK}, after the end mark at byte {at}" in dict(source.skipped())["x.tar"]
    )


def test_archives_joined_by_cat_are_not_read_in_silence(tmp_path):
    parts = [write_tar(tmp_path / f"{key}.part", pairs(key)).read_bytes() for key in "ab"]
    (tmp_path / "x.tar").write_bytes(b"".join(parts))
    source = WebDataset(tmp_path / "x.tar")
    assert list(source.keys()) == ["a"]
    assert "after the end mark" in dict(source.skipped())["x.tar"]


def test_a_damaged_header_in_the_middle(tmp_path):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b"), tarfile.USTAR_FORMAT)
    data = bytearray(path.read_bytes())
    at = data.index(b"b.jpg")
    data[at] ^= 1
    path.write_bytes(data)
    source = WebDataset(path)
    assert list(source.keys()) == ["a"]
    assert f"damaged header at byte {at} (wrong checksum)" in dict(source.skipped())["x.tar"]


def test_files_that_are_no_archives(tmp_path):
    path = tmp_path / "x.tar"
    for data in (b"<html>not found</html>", b"\x89PNG" * 500):
        path.write_bytes(data)
        with pytest.raises(VestigeError, match=r"x\.tar: not a tar archive \(it begins with"):
            WebDataset(path)
    packed = tmp_path / "x.tar.gz"
    packed.write_bytes(gzip.compress(write_tar(path, pairs("a")).read_bytes()))
    with pytest.raises(VestigeError, match=r"a compressed archive.*decompress it first \(gunzip\)"):
        WebDataset(packed)
    path.write_bytes(bytes(20 * BLOCK))
    with pytest.raises(VestigeError, match="no samples in 1 archives"):
        WebDataset(path)


def test_two_members_of_one_name(tmp_path):
    members = [*pairs("a").items(), ("a.jpg", b"another"), ("a.JPG", b"third")]
    source = WebDataset(write_tar(tmp_path / "x.tar", [member(*pair) for pair in members]))
    assert source.skipped() == (("x.tar: a.jpg", "stands in the archive 3 times: the first is used"),)
    assert next(source.samples(["a"])).media[Modality.IMAGE] == picture(0, "JPEG")


def test_names_that_are_no_plain_text(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name in ("caf\xe9.jpg", "new\nline.jpg", "\x1b[31mred.jpg", "x" * 200 + "\xe9.jpg"):
            info, data = member(name, b"x", mtime=1)
            tar.addfile(info, io.BytesIO(data))
    source = WebDataset(path)
    assert list(source.keys()) == ["caf\\xe9", "new\\x0aline", "\\x1b[31mred", "x" * 200 + "\\xe9"]
    assert all(sample.key.isprintable() for sample in source.samples(source.keys()))


def test_pictures_of_no_bytes_and_wrong_endings(tmp_path):
    files = {"empty.jpg": b"", "empty.txt": b"a", "png.jpg": picture(1), "png.txt": b"b", "text.png": b"hello"}
    source = WebDataset(write_tar(tmp_path / "x.tar", files), missing_captions="keep")
    media = {sample.key: sample.media[Modality.IMAGE] for sample in source.samples(source.keys())}
    assert media["empty"] == b""
    assert decode_picture(media["png"]).size[0] > 0
    with pytest.raises(UnreadableMedia):
        decode_picture(media["text"])


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("txt", b"\xff\xfe", "txt is not UTF-8 (byte 0)"),
        ("json", b"[1, 2]", "json holds a JSON list, not an object"),
        ("json", b'"text"', "json holds a JSON str, not an object"),
        ("json", b"{", "json is not JSON: "),
        ("json", b"[" * 100_000, "json is not JSON: nested too deeply"),
        ("json", b'{"caption": {"a": 1}}', "json:caption holds a dict, not a text"),
        ("json", b'{"caption": "\\ud800"}', "json:caption holds half a surrogate pair"),
        ("json", b'{"caption": ' + b"9" * 5000 + b"}", "json is not JSON: "),
        ("json", b"\xff{}", "json is not UTF-8 (byte 0)"),
        ("npy", b"", "no picture, sound, film or caption (found npy)"),
    ],
)
def test_texts_that_are_none(tmp_path, file, data, said):
    files = pairs("a") | ({} if file == "npy" else {"b.jpg": b"x"}) | {f"b.{file}": data}
    source = WebDataset(write_tar(tmp_path / "x.tar", files))
    assert list(source.keys()) == ["a"]
    assert dict(source.skipped())["x.tar: b"].startswith(said)


def test_a_text_of_gigabytes_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vestige.data.formats.tarsamples.LARGEST_TEXT", 100)
    source = WebDataset(write_tar(tmp_path / "x.tar", pairs("a") | {"b.jpg": b"x", "b.txt": b"y" * 101}))
    assert dict(source.skipped()) == {"x.tar: b": "txt of 101 bytes: more than 100"}


def test_an_archive_that_changes_under_the_reader(tmp_path):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b"))
    source = WebDataset(path)
    path.write_bytes(path.read_bytes()[:1600])
    with pytest.raises(VestigeError, match="no longer what it was"):
        list(source.samples(source.keys()))
    path.unlink()
    with pytest.raises(VestigeError, match="No such file"):
        list(source.samples(source.keys()))
