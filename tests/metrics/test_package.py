"""The package as a whole: what it depends on, what it exports, how long its files are."""

import ast
import subprocess
import sys
from pathlib import Path

from vestige import metrics

FILES = sorted(Path(metrics.__file__).parent.glob("*.py"))


def test_torch_is_the_only_dependency() -> None:
    """NumPy where bits and compiled loops are, Numba (optional) with these, and nothing of the rest of the program."""
    more = {
        "bits.py": {"numpy"},
        "fused.py": {"numpy", "numba"},
        "loops.py": {"numpy", "numba"},
        "compiling.py": {"numba"},
    }
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                assert not (isinstance(node, ast.ImportFrom) and node.level > 1), file.name
                continue
            for name in names:
                top = name.partition(".")[0]
                known = top == "torch" or top in more.get(file.name, ())
                assert known or top in sys.stdlib_module_names, (file.name, name)


def test_numba_is_not_loaded_with_the_package() -> None:
    """It takes a moment, and may be missing."""
    code = "import sys, vestige.metrics; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_short_and_open_with_their_subject() -> None:
    """One subject a file: a docstring first, less than 250 lines."""
    assert len(FILES) > 10
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert text.startswith('"""'), file.name
        assert len(text.splitlines()) < 250, file.name


def test_public_names() -> None:
    """All that is exported exists, is documented, and nothing is named twice."""
    assert len(set(metrics.__all__)) == len(metrics.__all__)
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__, name
