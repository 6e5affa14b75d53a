"""Papers that several of the packaged plugins rest on; a paper that one plugin alone needs lies in that plugin.

Every field was read in the project's own repository, or in two bibliographies that agree where that has none.
"""

from __future__ import annotations

from typing import Final

from harness.contracts import Paper

HARMBENCH: Final = Paper(
    key="mazeika2024harmbench",
    title="HarmBench: A Standardized Evaluation Framework for Automated Red Teaming and Robust Refusal",
    authors=(
        "Mantas Mazeika", "Long Phan", "Xuwang Yin", "Andy Zou", "Zifan Wang", "Norman Mu", "Elham Sakhaee",
        "Nathaniel Li", "Steven Basart", "Bo Li", "David Forsyth", "Dan Hendrycks",
    ),
    year=2024,
    arxiv="2402.04249",
)  # fmt: skip
MIS: Final = Paper(
    key="ding2025rethinking",
    title="Rethinking Bottlenecks in Safety Fine-Tuning of Vision Language Models",
    authors=(
        "Yi Ding", "Lijun Li", "Bing Cao", "Jing Shao",
    ),
    year=2025,
    arxiv="2501.18533",
)  # fmt: skip
MSTS: Final = Paper(
    key="rottger2025msts",
    title="MSTS: A Multimodal Safety Test Suite for Vision-Language Models",
    authors=(
        "Paul Röttger", "Giuseppe Attanasio", "Felix Friedrich", "Janis Goldzycher", "Alicia Parrish",
        "Rishabh Bhardwaj", "Di Bonaventura, Chiara", "Roman Eng", "El Khoury Geagea, Gaia", "Sujata Goswami",
        "Jieun Han", "Dirk Hovy", "Seogyeong Jeong", "Paloma Jeretič", "Plaza-del-Arco, Flor Miriam", "Donya Rooein",
        "Patrick Schramowski", "Anastassia Shaitarova", "Xudong Shen", "Richard Willats", "Andrea Zugarini",
        "Bertie Vidgen",
    ),
    year=2025,
    arxiv="2501.10057",
)  # fmt: skip
STRONGREJECT: Final = Paper(
    key="souly2024strongreject",
    title="A StrongREJECT for Empty Jailbreaks",
    authors=(
        "Alexandra Souly", "Qingyuan Lu", "Dillon Bowen", "Tu Trinh", "Elvis Hsieh", "Sana Pandey", "Pieter Abbeel",
        "Justin Svegliato", "Scott Emmons", "Olivia Watkins", "Sam Toyer",
    ),
    year=2024,
    arxiv="2402.10260",
)  # fmt: skip
XSTEST: Final = Paper(
    key="rottger2024xstest",
    title="XSTest: A Test Suite for Identifying Exaggerated Safety Behaviours in Large Language Models",
    authors=(
        "Paul Röttger", "Hannah Kirk", "Bertie Vidgen", "Giuseppe Attanasio", "Federico Bianchi", "Dirk Hovy",
    ),
    year=2024,
    venue="Proceedings of the 2024 Conference of the North American Chapter of the Association for Computational "
    "Linguistics: Human Language Technologies (Volume 1: Long Papers)",
    arxiv="2308.01263",
)  # fmt: skip
