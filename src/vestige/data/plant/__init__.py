"""Planted faults: wrong captions, labels and media, and copies, put where we know them, to test what finds them."""

from vestige.data.plant.copies import copy_samples
from vestige.data.plant.draw import FaultCounts, draw_faults
from vestige.data.plant.exchange import exchange_captions, exchange_media
from vestige.data.plant.labels import flip_labels
from vestige.data.plant.record import Fault, Kind, Planted

__all__ = [
    "Fault",
    "FaultCounts",
    "Kind",
    "Planted",
    "copy_samples",
    "draw_faults",
    "exchange_captions",
    "exchange_media",
    "flip_labels",
]
