"""Lists in large JSON files: the elements json.load gives, however the file is cut, and one line for the rest."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vestige.data.formats import json_lists
from vestige.data.formats.json_lists import elements, field
from vestige.errors import VestigeError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), values | st.lists(values), max_size=4), st.integers(1, 9), st.sampled_from([None, 1]))
def test_reads_what_json_reads(tmp_path, monkeypatch, whole, chunk, indent):
    monkeypatch.setattr(json_lists, "CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole, indent=indent, ensure_ascii=False), encoding="utf-8", newline="")
    expected = [(key, element) for key, value in whole.items() if isinstance(value, list) for element in value]
    assert list(elements(path, "x")) == expected


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(VestigeError) as caught:
        list(elements(path, "coco:here"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_file_cut_short_is_refused(tmp_path):
    whole = json.dumps({"info": {"year": 2017}, "a": [{"n": 12}, {"n": -3.5e2}], "b": ["ä\n"]}).encode()
    for length in range(len(whole)):
        message = refused(tmp_path / "a.json", whole[:length])
        assert message.startswith("coco:here: a.json is ")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[1, 2]", "'{' was expected at character 0"),
        (b'{"a": [1 2]}', "']' was expected at character 9"),
        (b'{"a": [1]} {}', "nothing was expected at character 11"),
        (b"{1: [1]}", "a name was expected"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "nested too deep"),
        (b'{"a": [' + b"9" * 5000 + b"]}", "broken"),
    ],
)
def test_files_that_are_broken(tmp_path, data, said):
    assert said in refused(tmp_path / "a.json", data)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1]}', encoding="utf-8-sig")
    assert list(elements(tmp_path / "a.json", "x")) == [("a", 1)]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (["x"], "an object with 'caption' was expected"),
        ({"id": 1}, "a record has no 'caption'; it has 'id'"),
        ({"caption": 7}, "'caption' of a record is to be a text, found 7"),
        ({"caption": None}, "found null"),
    ],
)
def test_fields_of_the_wrong_kind(record, said):
    with pytest.raises(VestigeError, match=said):
        field("x", record, "caption", str)
    with pytest.raises(VestigeError, match="a whole number"):
        field("x", {"id": True}, "id", int)
