"""Lack of memory or of disk space, whichever library says so and however often it was wrapped on its way."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
# PyTorch has an exception of its own for devices, and none for processors.
ALLOCATORS = ("DefaultCPUAllocator: ",)
DEVICES = ("OutOfMemoryError",)


def shortage(error: BaseException) -> str | None:
    """What the machine lacked and what to do about it, in one line; None if that is not what an exception says.

    Args:
        error: looked at together with its causes, for libraries wrap what they catch.
    """
    for reason in _with_causes(error):
        said = str(reason)
        if isinstance(reason, OSError) and reason.errno in FULL:
            where = f" for {reason.filename}" if reason.filename else ""
            return f"no space left on the disk{where}: free some and give the same command again to go on"
        # Written in Rust, where an exception has no number.
        if f"(os error {errno.ENOSPC})" in said:
            return "no space left on the disk: free some and give the same command again to go on"
        if isinstance(reason, MemoryError) or type(reason).__name__ in DEVICES or any(a in said for a in ALLOCATORS):
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
