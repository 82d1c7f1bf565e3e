"""COCO in its publisher's layout, and the one line for what is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from vestige.data import Skipping, open_source
from vestige.errors import VestigeError
from vestige.samples import Modality


def image(number: int, split: str = "val2017") -> dict[str, Any]:
    return {
        "license": 4,
        "file_name": f"{number:012d}.jpg" if "2017" in split else f"COCO_{split}_{number:012d}.jpg",
        "coco_url": f"http://images.cocodataset.org/{split}/{number:012d}.jpg",
        "height": 427,
        "width": 640,
        "date_captured": "2013-11-14 17:02:52",
        "id": number,
    }


def write(folder: Path, split: str, images: list[Any], annotations: list[Any], pictures: bool = True) -> None:
    (folder / "annotations").mkdir(exist_ok=True)
    whole = {"info": {"year": 2017}, "licenses": [{"id": 1}], "images": images, "annotations": annotations}
    (folder / "annotations" / f"captions_{split}.json").write_text(json.dumps(whole), encoding="utf-8")
    (folder / split).mkdir(exist_ok=True)
    for record in images if pictures else ():
        (folder / split / record["file_name"]).touch()


def captions(number: int, *texts: str, first: int = 100) -> list[dict[str, Any]]:
    return [{"image_id": number, "id": first + place, "caption": text} for place, text in enumerate(texts)]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    # Annotations of one picture are apart and not in the order of their ids, as in the real files.
    notes = [
        *captions(9, "Second.", first=8),
        *captions(25, "A giraffe", "Two giraffes. \n"),
        *captions(9, " First ", first=7),
    ]
    write(tmp_path, "val2017", [image(25), image(9)], notes)
    return tmp_path


def refused(spec: str, **options: str) -> str:
    with pytest.raises(VestigeError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_captions_under_the_image_id(coco):
    source = open_source(f"coco:{coco}")
    assert isinstance(source, Skipping)
    assert (list(source.keys()), len(source)) == (["25", "9"], 2)
    nine, giraffe = source.samples(["9", "25"])
    assert (nine.key, nine.group, nine.captions) == ("9", "9", ("First", "Second."))
    assert giraffe.captions == ("A giraffe", "Two giraffes.")
    assert giraffe.media == {Modality.IMAGE: coco / "val2017" / "000000000025.jpg"}


def test_objects_are_the_categories_of_the_instances(coco):
    instances = {
        "images": [image(25)],
        "annotations": [
            {"image_id": 25, "category_id": category, "id": number, "segmentation": [[1.5, 2.0]], "iscrowd": 0}
            for number, category in enumerate((18, 1, 18))
        ],
        "categories": [{"supercategory": "x", "id": 1, "name": "person"}, {"id": 18, "name": "teddy bear"}],
    }
    file = coco / "annotations" / "instances_val2017.json"
    file.write_text(json.dumps(instances))
    nine, giraffe = open_source(f"coco:{coco}").samples(["9", "25"])
    assert (nine.objects, giraffe.objects) == ((), ("teddy bear", "person"))
    instances["categories"].pop()
    file.write_text(json.dumps(instances))
    assert "no category has the id 18" in refused(f"coco:{coco}")


def test_pictures_and_captions_that_are_missing_are_listed(coco):
    write(coco, "val2017", [image(1), image(2), image(3)], [*captions(1, "one"), *captions(2, " "), *captions(7, "x")])
    (coco / "val2017" / "000000000003.jpg").unlink()
    source = open_source(f"coco:{coco}")
    assert isinstance(source, Skipping)
    assert list(source.keys()) == ["1"]
    assert [key for key, _ in source.skipped()] == ["2", "3", "7"]
    reasons = dict(source.skipped())
    assert "no caption" in reasons["2"]
    assert "000000000003.jpg is not in val2017" in reasons["3"]
    assert "without an image" in reasons["7"]


def test_splits(coco):
    write(coco, "train2017", [image(30)], captions(30, "thirty"))
    write(coco, "val2014", [image(9, "val2014")], captions(9, "nine"))
    write(coco, "test2017", [image(40)], captions(40, "x"))
    (coco / "test2017" / "000000000040.jpg").unlink()
    (coco / "test2017").rmdir()
    # The same pictures are in 2014 and 2017: the newer division is taken, of what has pictures.
    assert set(open_source(f"coco:{coco}").keys()) == {"9", "25", "30"}
    assert list(open_source(f"coco:{coco}", split="train2017").keys()) == ["30"]
    assert list(open_source(f"coco:{coco}", split="val2014, train2017").keys()) == ["9", "30"]
    assert "the image 9 is in two of the splits" in refused(f"coco:{coco}", split="val2014,val2017")
    assert "splits there: test2017, train2017, val2014, val2017" in refused(f"coco:{coco}", split="train")
    assert "no folder test2017" in refused(f"coco:{coco}", split="test2017")


def test_pictures_below_images(coco):
    (coco / "images").mkdir()
    (coco / "val2017").rename(coco / "images" / "val2017")
    (sample,) = open_source(f"coco:{coco}").samples(["9"])
    assert sample.media[Modality.IMAGE] == coco / "images" / "val2017" / "000000000009.jpg"


def test_names_of_pictures_do_not_lead_out_of_the_folder(coco):
    (coco / "secret.jpg").touch()
    record = image(1) | {"file_name": "../secret.jpg"}
    write(coco, "val2017", [record, image(2)], [*captions(1, "x"), *captions(2, "y")], pictures=False)
    (coco / "val2017" / "000000000002.jpg").touch()
    assert list(open_source(f"coco:{coco}").keys()) == ["2"]


@pytest.mark.parametrize(
    ("images", "notes", "said"),
    [
        ([image(1)], [{"image_id": 1, "id": 2, "caption": 7}], "annotations: 'caption' of a record is to be a text"),
        ([image(1)], [{"image_id": "1", "id": 2, "caption": "x"}], "'image_id' of a record is to be a whole number"),
        ([image(1)], [{"id": 2, "caption": "x"}], "a record has no 'image_id'; it has 'id', 'caption'"),
        ([image(1)], ["x"], "an object with 'image_id' was expected"),
        ([image(1) | {"id": None}], captions(1, "x"), "'id' of a record is to be a whole number, found null"),
        ([image(1), image(1)], captions(1, "x"), "two images have the id 1"),
        ([], captions(1, "x"), "lists no images"),
        ([image(1)], [], "lists no annotations"),
        ([image(1)], captions(2, "x"), "none of 2 images can be used; the first, 1: no caption"),
    ],
)
def test_annotations_that_are_amiss(tmp_path, images, notes, said):
    write(tmp_path, "val2017", images, notes)
    assert said in refused(f"coco:{tmp_path}")


def test_files_that_are_none(coco):
    file = coco / "annotations" / "captions_val2017.json"
    file.write_bytes(file.read_bytes()[:-40])
    assert "captions_val2017.json is broken or cut short" in refused(f"coco:{coco}")
    file.write_bytes(b"")
    assert "broken or cut short" in refused(f"coco:{coco}")
    file.unlink()
    assert "no annotations/captions_*.json" in refused(f"coco:{coco}")
    assert "no such folder" in refused(f"coco:{coco / 'none'}")
