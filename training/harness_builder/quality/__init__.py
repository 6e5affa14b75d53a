"""How good a built set is: what repeats, what a test already holds and whether both images are needed."""

from harness_builder.quality.balance import Balance, select_balanced
from harness_builder.quality.contamination import ComparedTest, Contamination, References, Wording, clean, contaminated
from harness_builder.quality.duplicates import ImageIndex, ImageMark, NearDuplicate, PairIndex, TextIndex, mark_image
from harness_builder.steps.probing import Part, Probe, ProbeResult, Rates, build_probes, compute_rates, read_probe

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
    "clean",
    "compute_rates",
    "contaminated",
    "mark_image",
    "read_probe",
    "select_balanced",
]
