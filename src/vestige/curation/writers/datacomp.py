"""`datacomp:DIR`: DataComp's own list of samples, a sorted `.npy` of uids, which its trainer and Vestige read.

A uid of 32 hexadecimal digits is a pair of its upper and its lower 64 bits (dtype `u8,u8`).
"""

import re
from pathlib import Path

import numpy as np

from vestige.curation.writers.changes import Changes, Origin, Written, no_captions_here
from vestige.errors import VestigeError

_UID = re.compile("[0-9a-f]{32}")


def write(origin: Origin, changes: Changes, out: Path) -> Written:
    """The uids of the samples that stay; the archives are read where they are."""
    if changes.captions:
        raise no_captions_here(origin, "a subset is a list of uids")
    kept = [key for key in origin.source.keys() if not changes.drops(key)]
    if wrong := next((key for key in kept if not _UID.fullmatch(key)), None):
        raise VestigeError(
            f"{origin.name}: {wrong!r} is not a uid of 32 hexadecimal digits: DataComp's list holds no other"
        )
    uids = np.array([(int(key[:16], 16), int(key[16:], 16)) for key in kept], np.dtype("u8,u8"))
    uids.sort()
    with out.open("wb") as file:
        # Given a name instead of a file, NumPy would add an ending to it.
        np.save(file, uids, allow_pickle=False)
    return Written("datacomp", str(origin.place.resolve()), {**origin.options, "subset": str(out)})
