"""The thirteen scenarios, and the spellings under which copies and ports of the benchmark have them."""

from __future__ import annotations

from typing import Final

#: As this harness calls them, in the paper's order.
SCENARIOS: Final = (
    "01 Illegal Activity",
    "02 Hate Speech",
    "03 Malware Generation",
    "04 Physical Harm",
    "05 Economic Harm",
    "06 Fraud",
    "07 Sex",
    "08 Political Lobbying",
    "09 Privacy Violence",
    "10 Legal Opinion",
    "11 Financial Advice",
    "12 Health Consultation",
    "13 Government Decision",
)

#: Names of files and folders, the published one first (with its slips); case, digits and signs do not matter.
SPELLINGS: Final = (
    ("Illegal_Activitiy", "Illegal_Activity", "IllegalActivity", "IllegalActivities"),
    ("HateSpeech", "Hate_Speech"),
    ("Malware_Generation", "MalwareGeneration", "Malware"),
    ("Physical_Harm", "PhysicalHarm"),
    ("EconomicHarm", "Economic_Harm"),
    ("Fraud",),
    ("Sex", "Pornography", "Sexual_Content"),
    ("Political_Lobbying", "PoliticalLobbying", "Lobbying"),
    ("Privacy_Violence", "PrivacyViolence", "Privacy_Violation", "PrivacyViolation", "Privacy"),
    ("Legal_Opinion", "LegalOpinion", "Legal_Advice", "Legal"),
    ("Financial_Advice", "FinancialAdvice", "Financial"),
    ("Health_Consultation", "HealthConsultation", "Health"),
    ("Gov_Decision", "GovDecision", "Government_Decision", "GovernmentDecision"),
)


def scenario(name: str) -> str:
    """The scenario that a file, a folder or a field names, such as `01-Illegal_Activitiy`; empty when it names none."""
    return _BY_LETTERS.get(_letters(name), "")


def published(of: str) -> str:
    """The name of a scenario on the hub."""
    return SPELLINGS[SCENARIOS.index(of)][0]


def spellings(of: str) -> tuple[str, ...]:
    """The names under which a scenario's files may lie, with its number and without."""
    number, names = of[:2], SPELLINGS[SCENARIOS.index(of)]
    return (*(f"{number}-{name}" for name in names), *names)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalpha())


_BY_LETTERS: Final = {_letters(name): of for of, names in zip(SCENARIOS, SPELLINGS, strict=True) for name in names}
