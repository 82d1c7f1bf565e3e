"""Rows on disk: the fields the csv module gives, whatever the blocks, and each found again at its place."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vestige.data.formats import rows as rows_module
from vestige.data.formats.rows import RowFile
from vestige.errors import VestigeError

cells = st.text(st.sampled_from('aé"\n\r, \u3000'), max_size=6)
tables = st.lists(st.lists(cells, min_size=2, max_size=2), max_size=8)


def written(table: list[list[str]], end: str, quoting: int) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=quoting).writerows(table)
    return file.getvalue()


def expected(text: str, width: int) -> list[tuple[list[str], int]]:
    """Rows and their last lines, as the csv module reads a file."""
    reader = csv.reader(io.StringIO(text, newline=""))
    found = [([value.strip() for value in fields], reader.line_num) for fields in reader if fields]
    if any(len(fields) != width for fields, _ in found):
        raise csv.Error("width")
    return found


def check(path: Path, text: str, width: int) -> None:
    path.write_text(text, encoding="utf-8", newline="")
    file = RowFile(path, "csv:here", ",", width)
    try:
        wanted = expected(text, width)
    except csv.Error:
        with pytest.raises(VestigeError, match=r"fields, the header|cannot be read as a table"):
            list(file.blocks())
        return
    blocks = list(file.blocks())
    columns = [[value for block in blocks for value in block.column(number)] for number in range(width)]
    lines = [line for block in blocks for line in block.lines.tolist()]
    starts = [start for block in blocks for start in block.starts.tolist()]
    assert [(list(fields), line) for *fields, line in zip(*columns, lines, strict=True)] == wanted
    with file.reading() as row:
        assert [row(start) for start in reversed(starts)] == [fields for fields, _ in reversed(wanted)]
    assert file.lines_of(starts[::-1]) == lines[::-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    tables,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 40),
)
def test_tables_that_were_written_as_csv(tmp_path, monkeypatch, table, end, quoting, block):
    monkeypatch.setattr(rows_module, "BLOCK", block)
    check(tmp_path / "t.csv", written(table, end, quoting), 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.text(st.sampled_from('aaé",,\n\n\r '), max_size=30), st.integers(1, 3), st.integers(1, 40))
@example('a,"b\n', 2, 40)
@example('a,b\n"', 2, 3)
@example('"a\n', 1, 2)
@example("a\n\nb\n", 1, 2)
def test_any_text_at_all(tmp_path, monkeypatch, text, width, block):
    monkeypatch.setattr(rows_module, "BLOCK", block)
    check(tmp_path / "t.csv", text, width)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n\xff,"x\ny"\nc,d\n')
    with pytest.raises(VestigeError, match=r"not UTF-8 \(byte 4\)"):
        list(RowFile(path, "csv:here", ",", 2).blocks())
    (block,) = RowFile(path, "csv:here", ",", 2, undecodable="skip").blocks()
    assert (block.column(0), block.undecodable) == (["a", "c"], (3,))
    (block,) = RowFile(path, "csv:here", ",", 2, encoding="latin-1").blocks()
    assert block.column(0) == ["a", "ÿ", "c"]


def test_lines_longer_than_any_caption(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "LONGEST", 100)
    monkeypatch.setattr(rows_module, "BLOCK", 10)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "x" * 101 + ",c\n")
    with pytest.raises(VestigeError, match="a line longer than 100 bytes"):
        list(RowFile(path, "csv:here", ",", 2).blocks())


def test_a_file_that_changed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n")
    file = RowFile(path, "csv:here", ",", 2)
    path.write_text("a,b\nc,d\n")
    with pytest.raises(VestigeError, match="has changed since it was opened"), file.reading() as row:
        row(0)
