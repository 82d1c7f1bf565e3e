"""A medium decoded once for all views of its sample, which are prepared one after the other."""

import threading
from collections.abc import Callable
from typing import Any

from vestige.samples import Media, Modality


class Once:
    """Remembers, in each thread, what was made of the last medium of each modality."""

    def __init__(self) -> None:
        self._last = threading.local()

    def __call__(self, modality: Modality, medium: Media, make: Callable[[Media], Any]) -> Any:
        last: dict[Modality, tuple[Media, Any]] = self._last.__dict__.setdefault("made", {})
        if modality not in last or last[modality][0] is not medium:
            last[modality] = (medium, make(medium))
        return last[modality][1]
