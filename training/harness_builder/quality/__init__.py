"""How good a built set is: what repeats, what a test already holds and whether both images are needed."""

from .balance import Balance, balanced
from .contamination import Contaminated, References, clean, contaminated
from .images import ImageIndex, ImageMark, mark
from .likeness import Near
from .probing import Part, Probe, Probed, Rates, probes, rates, read_probe
from .texts import TextIndex

__all__ = [
    "Balance",
    "Contaminated",
    "ImageIndex",
    "ImageMark",
    "Near",
    "Part",
    "Probe",
    "Probed",
    "Rates",
    "References",
    "TextIndex",
    "balanced",
    "clean",
    "contaminated",
    "mark",
    "probes",
    "rates",
    "read_probe",
]
