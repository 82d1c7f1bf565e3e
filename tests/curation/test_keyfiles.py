"""Files of keys: the report's marks, JSON, text, and what they are not."""

import pytest

from vestige.curation.keyfiles import read_keys
from vestige.errors import VestigeError


def read(tmp_path, text: str, name: str = "keys.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    return read_keys(tmp_path / name)


def test_marks(tmp_path):
    text = 'key,mark\r\n"a, ""b""",reject\r\nc,accept\r\nd,unsure\r\ne\u2028f,reject\r\nc,accept\r\n'
    found = read(tmp_path, text)
    assert found.keys == ('a, "b"', "e\u2028f")
    assert found.marks == {"reject": 2, "accept": 1, "unsure": 1}
    assert read(tmp_path, "\ufeffkey,mark\nx,reject\n").keys == ("x",)


def test_text_and_json(tmp_path):
    assert read(tmp_path, "b c\r\n\r\na,1\nb c\n é", "keys.txt").keys == ("b c", "a,1", " é")
    assert read(tmp_path, '["b", "a", "b"]', "keys.json").keys == ("b", "a")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("key,mark\na,reject\na,accept\n", "k.csv", "'a' is marked reject and accept"),
        ("key,mark\na,bad\n", "k.csv", "line 2 is not a key and one of reject, accept, unsure, but 'a,bad'"),
        ("key,mark\na\n", "k.csv", "line 2 is not a key and one of"),
        ("key,mark\na,accept\n", "k.csv", "nothing is chosen: none of its 1 marks is 'reject'"),
        ("key,mark\n", "k.csv", "nothing is chosen"),
        ("\n \n", "k.txt", "nothing is chosen: it has no keys"),
        ('{"a": 1}', "k.json", "a JSON list of keys"),
        ("[1]", "k.json", "a JSON list of keys"),
        ("[", "k.json", "not JSON"),
    ],
)
def test_what_is_no_file_of_keys(tmp_path, text, name, message):
    with pytest.raises(VestigeError, match=message):
        read(tmp_path, text, name)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(VestigeError, match="No such file"):
        read_keys(tmp_path / "none.txt")
    (tmp_path / "k.txt").write_bytes(b"\xff\n")
    with pytest.raises(VestigeError, match="not UTF-8"):
        read_keys(tmp_path / "k.txt")
