"""MSR-VTT in its publisher's layout, and the one line for what is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from vestige.data import Skipping, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality


def video(number: int, url: str, split: str = "train", category: int = 9) -> dict[str, Any]:
    times = {"start time": 137.72, "end time": 149.44}
    return {"category": category, "url": url, "video_id": f"video{number}", "split": split, "id": number} | times


def sentence(number: int, text: str, place: int) -> dict[str, Any]:
    return {"caption": text, "video_id": f"video{number}", "sen_id": place}


FIRST, SECOND = "https://www.youtube.com/watch?v=9lZi22qLlEo", "https://www.youtube.com/watch?v=w4JM08PDEng"
VIDEOS = [video(0, FIRST), video(1, SECOND, "validate"), video(2, "https://youtu.be/9lZi22qLlEo?t=5", category=0)]
SENTENCES = [sentence(0, "cars race", 2), sentence(1, "a dog", 3), sentence(0, "a car is shown", 1)]
SENTENCES += [sentence(2, "a song", 4)]


def write(folder: Path, videos: list[Any], sentences: list[Any], name: str = "train_val_videodatainfo.json") -> None:
    whole = {"info": {"year": "2016"}, "videos": videos, "sentences": sentences}
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(whole), encoding="utf-8")


@pytest.fixture
def msrvtt(tmp_path: Path) -> Path:
    write(tmp_path, VIDEOS, SENTENCES)
    (tmp_path / "TrainValVideo").mkdir()
    for number in range(3):
        (tmp_path / "TrainValVideo" / f"video{number}.mp4").touch()
    return tmp_path


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_clips_of_one_video_are_one_group(msrvtt):
    source = open_source(f"msrvtt:{msrvtt}")
    assert isinstance(source, Skipping)
    assert list(source.keys()) == ["video0", "video1", "video2"]
    cars, dog, song = source.samples(source.keys())
    assert cars.captions == ("a car is shown", "cars race")
    assert cars.group == song.group != dog.group
    assert (cars.label, song.label) == ("vehicles/autos", "music")
    assert cars.media == {Modality.VIDEO: msrvtt / "TrainValVideo" / "video0.mp4"}
    assert source.skipped() == ()


def test_splits_in_files_of_their_own_and_one_file_for_all(msrvtt):
    write(msrvtt, [video(7010, "https://x.example/film", "test")], [sentence(7010, "x", 9)], "test_videodatainfo.json")
    (msrvtt / "TestVideo").mkdir()
    (msrvtt / "TestVideo" / "video7010.mp4").touch()
    assert len(open_source(f"msrvtt:{msrvtt}")) == 4
    (sample,) = open_source(f"msrvtt:{msrvtt}", split="test").samples(["video7010"])
    assert sample.group == "https://x.example/film"
    assert list(open_source(f"msrvtt:{msrvtt}", split="validate, test").keys()) == ["video7010", "video1"]
    # The file for all repeats what the others hold, and is read alone.
    write(msrvtt, VIDEOS[:1], SENTENCES, "annotation/MSRVTT_data.json")
    assert list(open_source(f"msrvtt:{msrvtt}").keys()) == ["video0"]
    assert "split is one of train, validate, test, not 'val'" in refused(f"msrvtt:{msrvtt}", split="val")


def test_films_behind_a_link(msrvtt, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("films") / "films"
    (msrvtt / "TrainValVideo").rename(elsewhere)
    (msrvtt / "videos").mkdir()
    (msrvtt / "videos" / "all").symlink_to(elsewhere)
    assert len(open_source(f"msrvtt:{msrvtt}")) == 3


def test_clips_without_film_or_sentence_are_listed(msrvtt):
    (msrvtt / "TrainValVideo" / "video1.mp4").unlink()
    write(msrvtt, VIDEOS, SENTENCES[:3])
    source = open_source(f"msrvtt:{msrvtt}")
    assert isinstance(source, Skipping)
    assert list(source.keys()) == ["video0"]
    listed = dict(source.skipped())
    assert "no film video1.mp4" in listed["video1"]
    assert "no sentence" in listed["video2"]


def test_category_names_of_the_copy(msrvtt):
    (msrvtt / "category.txt").write_bytes(b"tunes\t0\r\nautos\t9\r\n\r\n")
    assert {sample.label for sample in open_source(f"msrvtt:{msrvtt}").samples(["video0", "video2"])} == {
        "tunes",
        "autos",
    }
    (msrvtt / "category.txt").write_text("tunes\t0\n")
    assert "no category has the number 9" in refused(f"msrvtt:{msrvtt}")
    (msrvtt / "category.txt").write_text("tunes 0\n")
    assert "'tunes 0' is not a name, a tab and a number" in refused(f"msrvtt:{msrvtt}")


@pytest.mark.parametrize(
    ("videos", "sentences", "said"),
    [
        ([VIDEOS[0] | {"url": 5}], SENTENCES, "videos: 'url' of a record is to be a text, found 5"),
        ([VIDEOS[0] | {"category": 20}], SENTENCES, "no category has the number 20"),
        ([{"video_id": "video0"}], SENTENCES, "a record has no 'url'"),
        (VIDEOS, [sentence(0, "x", 1) | {"caption": ["x"]}], "sentences: 'caption' of a record is to be a text"),
        (VIDEOS[:1] * 2, SENTENCES, "two videos have the id 'video0'"),
        ([], [], "none of 0 clips can be used"),
        ([], SENTENCES, "video0: no video of 2 sentences in train_val_videodatainfo.json"),
        ([video(0, FIRST, "trein")], SENTENCES, "the split of 'video0' is 'trein', not one of train, validate, test"),
        (VIDEOS, [], "none of 3 clips can be used; the first, video0: no sentence"),
    ],
)
def test_annotations_that_are_amiss(msrvtt, videos, sentences, said):
    write(msrvtt, videos, sentences)
    assert said in refused(f"msrvtt:{msrvtt}")


def test_folders_that_are_none(msrvtt, tmp_path_factory):
    file = msrvtt / "train_val_videodatainfo.json"
    file.write_bytes(file.read_bytes()[:-9])
    assert "broken or cut short" in refused(f"msrvtt:{msrvtt}")
    file.unlink()
    assert "no annotations in it (looked for MSRVTT_data.json" in refused(f"msrvtt:{msrvtt}")
    assert "no films in it" in refused(f"msrvtt:{tmp_path_factory.mktemp('empty')}")
    assert "no such folder" in refused(f"msrvtt:{msrvtt / 'none'}")
    assert "not a folder" in refused(f"msrvtt:{msrvtt / 'TrainValVideo' / 'video0.mp4'}")
