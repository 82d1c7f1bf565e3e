"""Numbers that mitigations note while they work, and the log that keeps them."""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vestige.files import write_text

FILE = "mitigations.jsonl"


class Notes:
    """Sums of what was noted since they were last taken. Batches are drawn in a thread of their own: any may note."""

    def __init__(self) -> None:
        self._lock, self._sums = threading.Lock(), dict[str, float]()

    def add(self, values: Mapping[str, float]) -> None:
        with self._lock:
            for name, value in values.items():
                self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The sums by name; they start from nothing again."""
        with self._lock:
            taken, self._sums = self._sums, {}
        return taken


def write_epoch(path: Path, block: int, epoch: int, records: Iterable[Mapping[str, Any]]) -> None:
    """Put what a block's models noted in an epoch at the end of a log of JSON lines.

    What an earlier attempt of a killed run wrote of this epoch and of later ones is replaced.

    Args:
        path: of the log; nothing is written where there is neither a log nor a record.
        block: the number of the block.
        epoch: counted from 1; 0 for what is said before training.
        records: each a mitigation and what it did.
    """
    new = [{"block": block, "epoch": epoch, **record} for record in records]
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    kept = [old for old in found if old["block"] != block or old["epoch"] < epoch]
    if new or len(kept) < len(found):
        write_text(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (*kept, *new)))
