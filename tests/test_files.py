"""Files written whole, and read."""

import pyarrow as pa
import pytest

from vestige.files import read_table, write_table


def test_columns_come_in_the_order_asked_for_and_a_missing_one_is_an_error(tmp_path):
    table = pa.table({"a": [1, 2], "b": ["x", None], "c": [[1.5], []]})
    write_table(tmp_path / "t.parquet", table)
    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_table(tmp_path / "t.parquet", ["c", "a"]).equals(table.select(["c", "a"]))
    with pytest.raises(KeyError, match="nowhere"):
        read_table(tmp_path / "t.parquet", ["a", "nowhere"])


def test_a_folder_named_like_a_column_adds_none(tmp_path):
    write_table(tmp_path / "year=1999" / "t.parquet", pa.table({"a": [1]}))
    assert read_table(tmp_path / "year=1999" / "t.parquet").column_names == ["a"]
