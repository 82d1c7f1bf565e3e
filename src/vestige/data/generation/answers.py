"""What a language model answered, kept by what it was asked: nothing is asked, or paid for, twice."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vestige.files import digest, write_json


@dataclass(frozen=True)
class Answers:
    """A folder with a file for each answer, named by the request's content.

    Attributes:
        directory: the folder; made when the first answer comes.
    """

    directory: Path

    def get(self, endpoint: str, request: Mapping[str, Any]) -> str | None:
        """The answer to a request, if there was one; a file that is not one of ours is no answer."""
        try:
            kept = json.loads(self._path(endpoint, request).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        answer = kept.get("answer") if isinstance(kept, dict) else None
        return answer if isinstance(answer, str) else None

    def keep(self, endpoint: str, request: Mapping[str, Any], answer: str) -> None:
        write_json(self._path(endpoint, request), {"endpoint": endpoint, "request": request, "answer": answer})

    def _path(self, endpoint: str, request: Mapping[str, Any]) -> Path:
        name = digest(endpoint, json.dumps(request, sort_keys=True, ensure_ascii=False))
        return self.directory / name[:2] / f"{name}.json"
