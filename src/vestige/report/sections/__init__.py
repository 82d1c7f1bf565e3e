"""Further parts of a report, one a file: each reads the folder of a run, and gives nothing where its data lack."""

from collections.abc import Callable
from pathlib import Path

from vestige.report.section import Section
from vestige.report.sections.curve import utility_when_removed
from vestige.report.sections.dejavu import retrieved_pictures
from vestige.report.sections.epochs import memorization_by_epoch, training_loss
from vestige.report.sections.unitepochs import units_by_epoch
from vestige.report.sections.units import units_by_layer

SECTIONS: tuple[Callable[[Path], list[Section]], ...] = (
    memorization_by_epoch,
    utility_when_removed,
    retrieved_pictures,
    units_by_layer,
    units_by_epoch,
    training_loss,
)
"""In the order shown."""


def sections_of(directory: Path) -> list[Section]:
    """All further parts that the report of this run can have."""
    return [section for make in SECTIONS for section in make(directory)]
