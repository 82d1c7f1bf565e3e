"""How much a report holds."""

from dataclasses import dataclass

from vestige.errors import VestigeError


@dataclass(frozen=True)
class ReportConfig:
    """What the report holds, and where its media go."""

    samples: int = 5000
    """Ranked samples on the page: planted ones, both ends of the ranking, then others drawn at random."""
    neighbours: int = 4
    """Nearest other samples shown of each, in every modality; 0 for none."""
    max_megabytes: float = 64.0
    """Size up to which media lie in the page itself; past it they lie in a folder beside it."""

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("neighbours", 0), ("max_megabytes", 0)):
            if not getattr(self, name) >= least:
                raise VestigeError(f"report.{name} must be at least {least}, not {getattr(self, name)}")
