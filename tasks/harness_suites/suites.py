"""The parts of each suite; `docs/tasks/suites.md` explains them."""

from __future__ import annotations

from typing import Final

from harness import Suite
from harness.papers import MIS

#: the general benchmarks of the MIS paper, whose numbers it averages
FIVE: Final = ("qbench:test", "mmstar:val", "mmmu:validation", "muirbench:test", "mmt-bench:val_mi")

SAFETY: Final = Suite(
    name="safety",
    description="what a model does when it is asked for harm, by text, by image and across images",
    tasks=(
        "mis",
        "mssbench",
        "figstep:full",
        "mm-safetybench:sd_typo",
        "jailbreakv:official-mini",
        "siuo:gen",
        "vlguard:unsafes",
        "vlguard:safe_unsafes",
        "vlsbench",
        "spa-vl:harm",
        "harmbench-mm",
        "strongreject:all",
    ),
    judges={"figstep": "llamaguard", "harmbench-mm": "harmbench"},
    notes=("read it beside over-refusal: a model that refuses everything is safe here",),
)
OVER_REFUSAL: Final = Suite(
    name="over-refusal",
    description="what a model refuses though nothing is wrong with it",
    tasks=(
        "mossbench:oversensitivity",
        "xstest:safe",
        "mssbench",
        "holisafe:safe",
        "salad:safe",
        "vscbench:image",
        "mm-safetybench-plus:gen",
    ),
    notes=(
        "read safe_acc of mssbench, SRA_s of vscbench, AR of mm-safetybench-plus: their main numbers have both sides",
        "safe_rate of salad, its main number, counts needless warnings as well; its refusal_rate counts refusals alone",
    ),
)
MULTI_IMAGE: Final = Suite(
    name="multi-image",
    description="harm that shows only when several images, or an image and the words, are read together",
    tasks=("mis", "mir-safetybench", "mssbench", "multibench", "siuo"),
    judges={"mir-safetybench": "harmbench"},
    notes=("mssbench and siuo show one image: they ask for the same reading with less to join",),
)
JOINT_REASONING: Final = Suite(
    name="joint-reasoning",
    description="neither the words nor an image need be harmful: the danger lies in the two together",
    tasks=(
        "mis",
        "mir-safetybench",
        "mssbench",
        "siuo:gen",
        "msts",
        "salad:unsafe",
        "holisafe:unsafe",
    ),
    judges={"mir-safetybench": "harmbench"},
    notes=(
        "of holisafe it is ASR_SSU that counts here; mASR, its main number, is of all four unsafe types",
        "read it beside over-refusal: in most of these a model that refuses everything is safe",
    ),
)
JAILBREAK: Final = Suite(
    name="jailbreak",
    description="harm that is asked for in disguise: drawn as text, hidden in a picture, wrapped in a story",
    tasks=(
        "figstep:full",
        "mm-safetybench:sd_typo",
        "jailbreakv:official-mini",
        "hades:abstract",
        "vljailbreakbench",
        "harmbench-mm",
    ),
    judges={"figstep": "llamaguard", "harmbench-mm": "harmbench"},
    notes=("attacks on any other task: harness run --attack NAME",),
)
GENERAL: Final = Suite(
    name="general",
    description="general ability: the MIS paper's five benchmarks and their unweighted mean",
    tasks=FIVE,
    mean=FIVE,
    paper=MIS,
)
GENERAL_EXTENDED: Final = Suite(
    name="general-extended",
    description="general, and beside its five and their mean HallusionBench and POPE",
    tasks=(*FIVE, "hallusionbench", "pope"),
    mean=FIVE,
)
MIRAGE_PAPER: Final = Suite(
    name="mirage-paper",
    description="the closest documented set-up of the MIS paper's tables (arXiv 2501.18533)",
    tasks=(
        "mis",
        "figstep:full",
        "mm-safetybench:sd_typo",
        "jailbreakv:official-mini",
        "siuo:gen",
        "mssbench:chat",
        *FIVE,
    ),
    task_settings={
        "mis.prompts": "upstream",
        "figstep.prompts": "upstream",
        "mssbench.prompts": "upstream",
        "mssbench.queries": "first",
    },
    judges={"figstep": "llamaguard", "mm-safetybench": "llamaguard", "jailbreakv": "llamaguard"},
    mean=FIVE,
    notes=(
        "the paper's judges: Llama-Guard-3-8B for llamaguard, GPT-4o for mis, siuo and mssbench",
        "upstream's words are fetched once: harness data fetch mis,figstep,mssbench --prompts",
        "denominators differ between rows of one published column: see docs/tasks/suites.md",
    ),
    paper=MIS,
)

SUITES: Final = (
    SAFETY,
    MULTI_IMAGE,
    JOINT_REASONING,
    JAILBREAK,
    OVER_REFUSAL,
    GENERAL,
    GENERAL_EXTENDED,
    MIRAGE_PAPER,
)
