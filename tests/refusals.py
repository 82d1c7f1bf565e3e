"""What the command line says when it refuses."""

import pytest

from vestige import cli


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run it, and the one line of its refusal: exit code 2, no traceback."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("vestige: ")]
    return line
