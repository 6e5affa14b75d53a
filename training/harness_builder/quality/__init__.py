"""How good a built set is: what repeats, what a test already holds and whether both images are needed."""

from harness_builder.steps.probing import Part, Probe, ProbeResult, Rates, build_probes, compute_rates, read_probe

from .balance import Balance, select_balanced
from .contamination import ComparedTest, Contamination, References, Wording
from .duplicates import ImageIndex, ImageMark, NearDuplicate, PairIndex, TextIndex, mark_image

__all__ = [
    "Balance",
    "ComparedTest",
    "Contamination",
    "ImageIndex",
    "ImageMark",
    "NearDuplicate",
    "PairIndex",
    "Part",
    "Probe",
    "ProbeResult",
    "Rates",
    "References",
    "TextIndex",
    "Wording",
    "build_probes",
    "compute_rates",
    "mark_image",
    "read_probe",
    "select_balanced",
]
