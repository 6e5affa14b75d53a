"""How good a built set is: what repeats, what a test already holds and whether both images are needed."""

from .balance import Balance, balanced
from .contamination import Compared, Contaminated, References, Wording, clean, contaminated
from .images import ImageIndex, ImageMark, PairIndex, mark
from .likeness import Near
from .probing import Part, Probe, Probed, Rates, probes, rates, read_probe
from .texts import TextIndex

__all__ = [
    "Balance",
    "Compared",
    "Contaminated",
    "ImageIndex",
    "ImageMark",
    "Near",
    "PairIndex",
    "Part",
    "Probe",
    "Probed",
    "Rates",
    "References",
    "TextIndex",
    "Wording",
    "balanced",
    "clean",
    "contaminated",
    "mark",
    "probes",
    "rates",
    "read_probe",
]
