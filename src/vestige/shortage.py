"""Lack of memory or of disk space, whichever library says so and however often it was wrapped on its way."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
# As libraries written in Rust say it, whose exceptions have no number.
FULL_IN_RUST = f"(os error {errno.ENOSPC})"
# PyTorch has an exception of its own for devices, and none for processors.
DEVICE, PROCESSOR = "OutOfMemoryError", "DefaultCPUAllocator: "


def shortage(error: BaseException) -> str | None:
    """What the machine lacked and what to do about it, in one line; None if that is not what an exception says.

    Args:
        error: looked at together with its causes, for libraries wrap what they catch.
    """
    for reason in _with_causes(error):
        if (isinstance(reason, OSError) and reason.errno in FULL) or FULL_IN_RUST in str(reason):
            name = getattr(reason, "filename", None)
            where = f" for {name}" if name else ""
            return f"no space left on the disk{where}: free some and give the same command again to go on"
        if isinstance(reason, MemoryError) or type(reason).__name__ == DEVICE or PROCESSOR in str(reason):
            return "out of memory: lower the batch size, or choose a smaller model"
    return None


def _with_causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    reason: BaseException | None = error
    # An exception can be made its own cause.
    while reason is not None and reason not in found:
        found.append(reason)
        reason = reason.__cause__
    return found
