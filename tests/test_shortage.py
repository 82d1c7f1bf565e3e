"""Lack of memory and of disk space is told from faults, also through what libraries wrap around it."""

import errno

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from vestige.data.generation.local import reading
from vestige.errors import VestigeError
from vestige.shortage import shortage


def too_much_of_torch():
    torch.empty(1 << 50)


def too_much_of_numpy():
    np.empty(1 << 50)


def too_much_of_a_device():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


@pytest.mark.parametrize("allocate", [too_much_of_torch, too_much_of_numpy, too_much_of_a_device])
def test_memory(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        allocate()
    assert shortage(raised.value) == "out of memory: lower the batch size, or choose a smaller model"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full(number):
    said = shortage(OSError(number, "full", "shard-0.arrow"))
    assert said == "no space left on the disk for shard-0.arrow: free some and give the same command again to go on"


def test_a_disk_that_is_full_for_tensors():
    # As safetensors says it, which replaces what it writes: a device that is always full would not be.
    said = shortage(SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"))
    assert said == "no space left on the disk: free some and give the same command again to go on"


def test_causes_count():
    outer = TypeError("an error occurred while generating the dataset")
    outer.__cause__ = RuntimeError("somewhere")
    assert shortage(outer) is None
    outer.__cause__.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert shortage(outer) == "no space left on the disk: free some and give the same command again to go on"


def test_an_exception_that_is_its_own_cause_ends():
    error = RuntimeError("round")
    error.__cause__ = error
    assert shortage(error) is None


@pytest.mark.parametrize("error", [ValueError("memory"), FileNotFoundError(errno.ENOENT, "none", "x"), RuntimeError()])
def test_other_errors_are_none(error):
    assert shortage(error) is None


def test_a_model_that_does_not_fit_is_not_called_unreadable(tmp_path):
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), reading(tmp_path, "checkpoint"):
        torch.empty(1 << 50)
    with pytest.raises(VestigeError, match="cannot be read: RuntimeError: no tensor"), reading(tmp_path, "checkpoint"):
        raise RuntimeError("no tensor")
