"""The words the rules look for, in the files of `words/`; a name stands for itself.

They are what a reader needs to see what the rules cover, and no more: general words of the larger languages, none of
them graphic; for weapons the names of classes and of the agents that treaties list, and no detail of any. A `*` stands
for any ending and `_` for a space or a hyphen; a word in a script without spaces is found anywhere. Ages and titles are
patterns, and stand here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name("words")

AGES: Final = r"""
    (?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:(?:years?|yrs?)[\s-]*(?:old|of\s+age)|yo|y/o)(?!\w)
    |(?<![\w.,])(?:[1-9]|1[0-7])[\s-]*(?:jahrig\w*|jahre\s+alt|ans|anos|anni|лет|岁|歲|歳|才|살)(?![^\W\d_])
    |(?<!\w)(?:aged?|age\s+of)\s+(?:[1-9]|1[0-7])(?!\d)
    |(?<!\w)(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven)teen)
        [\s-]+years?[\s-]+old
    |(?<!\w)(?:elementary|primary|middle|junior\s+high|high)[\s-]+school
"""
TITLE: Final = (
    r"(?:mr|mrs|ms|dr|prof|sen|gov|rev)\.?|president|prime minister|chancellor|minister|king|queen|prince|princess|"
    r"pope|senator|governor|congress(?:man|woman)|mayor|ambassador|sir|dame|lord|lady|miss|professor|judge|justice|"
    r"general|colonel|imam|rabbi|sheikh|ayatollah|actor|actress|singer|rapper|footballer|politician|celebrity|"
    r"influencer|youtuber|herr|frau|monsieur|madame|señora?|don|doña"
)
SHOWN: Final = "(?:photo|photograph|picture|portrait|image|deepfake|face|video|likeness|voice|statue) of|named|called"


@cache
def words(name: str) -> tuple[str, ...]:
    """All words of one file."""
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(word for line in lines if not line.startswith("#") for word in line.split())
