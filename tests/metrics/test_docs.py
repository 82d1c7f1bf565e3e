"""The examples of docs/metrics run as they stand."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "metrics").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_example(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every page has an example; it prints something."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(page), "exec"), {})
        assert capsys.readouterr().out


def test_pages_are_there() -> None:
    """One page a metric."""
    assert {page.stem for page in PAGES} >= {
        "clipmem",
        "contrast",
        "dejavu",
        "labelmem",
        "multimem",
        "sslmem",
        "unitmem",
    }
