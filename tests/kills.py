"""Trainings that are killed right after they kept a state."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vestige.training import checkpoints


@contextmanager
def killed_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The training in the block keeps every epoch, and is killed after this one; those that follow keep them too."""
    save = checkpoints.save

    def killed(directory, number, *rest):
        save(directory, number, *rest)
        if number == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr("vestige.training.loop.WORTH_KEEPING", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr("vestige.training.checkpoints.save", killed)
        with pytest.raises(KeyboardInterrupt):
            yield
