"""`data check`: every number against a collection of which it is known, and nothing of it sent to the terminal raw."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from archives import pairs, picture, write_tar
from layouts import layouts
from recordings import film, soundfile_bytes, tone
from vestige import cli
from vestige.data import check as module
from vestige.data import open_source
from vestige.data.check import check, spaced
from vestige.data.film import film_length
from vestige.data.media import UnreadableMedia
from vestige.data.memory import SampleList
from vestige.data.tallies import GroupTally, Spread, Tally, reasons, spread
from vestige.datacheck import measure, show
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample

EVIL = "\x1b]0;owned\x07\x1b[31mred [bold]not bold[/bold] [/] \u202e\r\n end"


def known() -> SampleList:
    """Seven samples of all kinds."""
    film_, sound_ = film("mp4", "mpeg4", 10, size=(32, 48)), soundfile_bytes(tone(8_000, 0.5), 8_000, "WAV")
    image, audio, video = Modality.IMAGE, Modality.AUDIO, Modality.VIDEO
    return SampleList(
        [
            Sample("a", "g", {image: picture(0)}, ("one", " ", "three"), "cat", ("Dogs", "hat")),
            Sample("b", "g", {image: picture(0)}, ("one",), "cat", ("dog",)),
            Sample("c", "h", {image: picture(0), audio: sound_}, (), "dog"),
            Sample("d", "i", {image: b"no picture"}, ("x" * 200,)),
            Sample("e", "j", {video: film_, audio: sound_}, ("four words of text",)),
            Sample("f", "k", {image: b"no picture"}, (EVIL,), EVIL, (EVIL,)),
            Sample("g\x1b[2J", "l"),
        ]
    )


def test_everything_is_counted():
    found = check(known())
    assert found.samples == 7
    assert found.modalities == {"image": 5, "text": 5, "audio": 2, "video": 1}
    combinations = dict(found.combinations)
    assert combinations[("image", "text")] == 4
    assert combinations[()] == combinations[("image", "audio")] == combinations[("text", "audio", "video")] == 1
    assert (found.groups.number, found.groups.largest, found.groups.in_several, found.largest_group) == (6, 2, 2, "g")
    captions = found.captions
    assert (captions.total, captions.empty, captions.without) == (6, 1, 2)
    assert captions.per_sample == Spread(1, 1, 2)
    assert captions.repeated == (("one", 2),)
    assert captions.kept == ("one", "three", "one", "x" * 200, "four words of text", EVIL)
    assert found.labels.top[0] == ("cat", 2)
    assert found.objects.different == 4
    assert dict(found.normalised.top)["dog"] == 2
    assert found.skipped.count == 0


def test_media_are_decoded_and_compared():
    found = check(known()).looked_at
    assert found.samples == 7
    assert found.media == {"image": 3, "audio": 2, "video": 1}
    assert found.sizes["image"] == {"width": Spread(24, 24, 24), "height": Spread(24, 24, 24)}
    assert found.sizes["audio"] == {"seconds": Spread(0.5, 0.5, 0.5)}
    assert found.sizes["video"] == {
        "width": Spread(32, 32, 32),
        "height": Spread(48, 48, 48),
        "frames": Spread(10, 10, 10),
        "seconds": Spread(0.4, 0.4, 0.4),
    }
    # a, b and c share a picture, c and e a sound; of the groups g and h become one.
    assert (found.copies.samples, found.copies.sets, found.copies.joined, found.copies.groups) == (4, 2, 1, 5)
    assert found.copies.examples == (("a", "b", "c"), ("c", "e"))
    assert found.undecodable.count == 2
    assert [key for key, _ in found.undecodable.examples] == ["d", "f"]
    assert found.undecodable.kinds == (("image: not a readable picture: its bytes are of no known format", 2),)


def test_some_media_are_decoded_and_all_samples_counted():
    found = check(known(), sample=2)
    assert found.samples == 7
    assert found.looked_at.samples == 2
    assert found.looked_at.media == {"image": 1}
    assert found.captions.total == 6
    none = check(known(), sample=0)
    assert none.looked_at.samples == 0
    assert none.pass_seconds is None
    with pytest.raises(VestigeError, match="--sample is a number of samples, not -1"):
        check(known(), sample=-1)
    with pytest.raises(VestigeError, match="no samples"):
        check(SampleList([]))


@pytest.mark.parametrize(("number", "most"), [(1, 5), (7, 7), (7, 3), (1000, 9), (10, 0), (3, 1)])
def test_samples_are_spread_evenly(number, most):
    places = spaced(number, most).tolist()
    assert len(places) == min(number, most)
    assert places == sorted(set(places))
    if len(places) > 1:
        assert (places[0], places[-1]) == (0, number - 1)
        gaps = [after - before for before, after in pairwise(places)]
        assert max(gaps) - min(gaps) <= 1


def test_records_that_sources_left_out(tmp_path):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b") | {"c.txt": b"\xff", "d.txt": b"\xfe\xff"})
    found = check(open_source(f"webdataset:{path}"))
    assert (found.samples, found.skipped.count) == (2, 2)
    assert found.skipped.kinds == (("txt is not UTF-8 ...", 2),)
    assert found.skipped.examples[0] == ("x.tar: c", "txt is not UTF-8 (byte 0)")


def printed(source: SampleList) -> str:
    found = check(source)
    stream = io.StringIO()
    show(EVIL, found, measure("nano", found.captions.kept), Console(file=stream, force_terminal=True, width=100))
    return stream.getvalue()


def test_nothing_is_markup_or_a_command_to_the_terminal():
    text = printed(known())
    assert "[bold]not bold[/bold] [/]" in " ".join(text.replace("\n", " ").split())
    assert not {"\x07", "\r", "\u202e"} & set(text)
    # Only rich's own styles.
    assert "\x1b]" not in text
    assert "\x1b[31m" not in text
    assert "\x1b[2J" not in text
    assert "\\x1b]0;owned\\x07" in text


def test_the_table_says_what_was_found():
    text = " ".join(printed(known()).split())
    for line in (
        "samples 7",
        "4 with image, text",
        "1 with nothing",
        "6, 2 samples in groups of several; the largest has 2: 'g'",
        "6, 1 to 2 (median 1) a sample; 2 samples have none; 1 are empty",
        "longer than the 20 tokens that nano reads",
        "4 samples share 2 media that are identical byte for byte; this joins 1 groups to others: 'a' = 'b' = 'c'",
        "2x image: not a readable picture: its bytes are of no known format",
        "a full pass about",
        "canvases 48.4 kB on disk for the model nano (image 48.4 kB)",
    ):
        assert line in text


def test_captions_against_the_tokenizer():
    fits, cut = "a " * 18, "a " * 19
    assert measure("nano", [fits, fits]).cut == 0
    needs = measure("nano", [fits, cut, ""])
    assert (needs.context, needs.cut, needs.measured) == (20, 1, 3)
    assert measure("nano", []).cut == 0
    with pytest.raises(VestigeError, match="unknown model"):
        measure("nanoo", [])


def test_the_command_prints_json(tmp_path, capsys):
    path = write_tar(tmp_path / "x.tar", pairs("a", "b"))
    assert (
        cli.main(["data", "check", f"webdataset:{path}", "--json", "--sample", "1", "--options", "image", "jpg"]) == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 2
    assert found["looked_at"]["samples"] == 1
    assert {"groups", "modalities", "captions", "duplicates", "undecodable", "skipped", "canvases"} <= found.keys()
    assert (found["captions"]["context"], found["captions"]["cut"], found["captions"]["measured"]) == (20, 0, 2)
    assert found["canvases"] == {"model": "nano", "bytes": {"image": 2 * 3 * 48 * 48}}


def test_names_that_are_no_text_are_printed(tmp_path, capsys):
    if sys.platform == "darwin":
        pytest.skip("file names are UTF-8 there")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(picture(0, "JPEG"))
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"a cafe")
    for more in ((), ("--json",)):
        code = cli.main(["data", "check", f"folder:{tmp_path}", "--model", "none", *more])
        out = capsys.readouterr()
        assert code in {0, 2}
        (out.out + out.err).encode()


def test_refusals_are_one_plain_line(tmp_path, capsys):
    assert cli.main(["data", "check", f"csv:{tmp_path}/\x1b[31m.csv"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert cli.main(["data", "check", "csv:x.csv", "--options", "no", "such"]) == 2


def test_spread_of_counted_numbers():
    assert spread({}) is None
    for values in ([5], [1, 2], [3, 1, 2], [1, 1, 1, 9], [4, 4, 2, 2, 8, 8]):
        counts = {float(value): values.count(value) for value in values}
        ordered = sorted(values)
        middle = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
        assert spread(counts) == Spread(ordered[0], middle, ordered[-1])


def test_tallies_stop_growing(monkeypatch):
    monkeypatch.setattr("vestige.data.tallies.MOST_NAMES", 3)
    tally = Tally()
    for name in "abcdea":
        tally.add([name])
    found = tally.names()
    assert (found.samples, found.different, found.many, found.top[0]) == (6, 3, True, ("a", 2))


def test_groups():
    def counts(groups: Sequence[str]) -> tuple[int, int, int, int | None]:
        tally = GroupTally()
        for group in groups:
            tally.add(group)
        found = tally.counts()
        return found.number, found.largest, found.in_several, found.example

    assert counts("") == (0, 0, 0, None)
    assert counts("abc") == (3, 1, 0, None)
    assert counts("abbcccd") == (4, 3, 5, 3)
    assert counts("aa") == (1, 2, 2, 0)


def test_reasons_of_a_kind_are_counted_together():
    found = reasons([("a", "cut at 12 of 99 (x.jpg)"), ("b", "cut at 7 of 8 (y.jpg)"), ("c", "No such file: /x/y z")])
    assert found.count == 3
    assert found.kinds == (("cut at # of # ...", 2), ("No such file: ...", 1))


def test_lengths_of_films():
    assert film_length(film("mp4", "libx264", 30)) == (30, pytest.approx(1.2))
    assert film_length(picture(0)) == (1, None)
    with pytest.raises(UnreadableMedia):
        film_length(b"no film")


def test_what_is_kept_does_not_grow(monkeypatch):
    monkeypatch.setattr(module, "KEPT_CAPTIONS", 10)
    monkeypatch.setattr(module, "FEW", 4)
    found = check(SampleList(Sample(str(n), str(n), {}, (f"caption {n}",)) for n in range(1000)))
    assert len(found.captions.kept) == 10
    assert found.looked_at.samples == 4
    assert found.captions.total == 1000


def test_counting_needs_no_torch(tmp_path):
    """Which alone takes more memory than ten million rows."""
    layout = layouts()["csv"]
    spec, _ = layout.write(tmp_path)
    code = f"""
import sys
from vestige.data import open_source
from vestige.data.check import check
import vestige.datacheck
assert check(open_source({spec!r})).samples == 3
assert not {{"torch", "open_clip"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(tmp_path))
