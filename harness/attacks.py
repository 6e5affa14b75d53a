"""The attack of a run: its settings, what identifies it, and what it makes of a sample.

An attack changes what the model is asked, and nothing else. Keys, clusters, tags and the data's hash are those of the
original sample, so a run with an attack pairs with the run without it, and judges read the original goal and images.
An answer's key holds the attack as a part of the identity; what was really asked is in the answer's line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from harness import plugins, settings
from harness.contracts import Attack, Variant
from harness.errors import BadImage, HarnessError, PluginError
from harness.keys import canonical
from harness.types import Failure, Json, Request, Sample

#: reason of the `bad_sample` of a sample that the attack cannot take
NOT_TAKEN: Final = "attack_not_taken"
#: begins the names of the steps that hold the replies to `Attack.ask`
STEP: Final = "attack "


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackSpec:
    """An attack as the user names it: `--attack NAME`, with its `-A` settings. An empty name is no attack."""

    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAttack:
    """An attack with all its settings.

    Attributes:
        attack: its descriptor.
        settings: all its settings.
        identity: name, version, settings and facts, as run.json holds them.
    """

    attack: Attack
    settings: Mapping[str, Any]
    identity: Mapping[str, Json]

    def check(self, sample: Sample) -> str:
        """Why it cannot take a sample; empty if it can. The sample's images need not be open."""
        return self.attack.check(_join_turns(sample), self.settings)

    def count_images(self, sample: Sample) -> int:
        """Most images that the model is shown at once, if it can take the sample."""
        count = self.attack.images
        return len(sample.images) if count is None else count(_join_turns(sample), self.settings)

    def ask(self, sample: Sample) -> list[Request]:
        """What the model is asked first; empty if it cannot take the sample. The sample's images are open."""
        return (
            [] if self.attack.ask is None or self.check(sample) else self.attack.ask(_join_turns(sample), self.settings)
        )

    def count_first_calls(self, sample: Sample) -> int:
        """How many requests `ask` gives; the sample's images need not be open."""
        return 0 if self.attack.calls is None else self.attack.calls(_join_turns(sample), self.settings)

    def apply(
        self, sample: Sample, epoch: int, replies: tuple[str, ...] = ()
    ) -> tuple[Sample, tuple[str, ...]] | Failure:
        """What the model is asked instead of a sample whose images are open, with notes on it.

        Returns:
            A Failure if the attack cannot take the sample, or cannot read an image.

        Raises:
            PluginError: the attack raised or gave what its contract does not allow.
        """
        if why := self.check(sample):
            return Failure(outcome="bad_sample", reason=NOT_TAKEN, message=f"attack {self.attack.name}: {why}")
        key = f"{self.settings.get('seed', '')}\0{sample.split}\0{sample.id}\0{epoch}"
        variant = Variant(epoch=epoch, key=key, replies=replies)
        try:
            own = replace(_join_turns(sample), tags=dict(sample.tags))  # what an attack does to it stays its own
            given = self.attack.apply(own, dict(self.settings), variant)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        if not sample.turns:
            return replace(sample, request=given.request), given.notes
        before, after = ([message.role for message in each] for each in (sample.messages, given.request.messages))
        if before != after:
            raise PluginError(f"attack {self.attack.name} gave a dialogue other turns: {len(after)} for {len(before)}")
        number = len(sample.request.messages)
        request = replace(given.request, messages=given.request.messages[:number])
        return replace(sample, request=request, turns=given.request.messages[number:]), given.notes


def _join_turns(sample: Sample) -> Sample:
    """A dialogue with all its turns as one request, as attacks get it; what the model replies is not in it."""
    if not sample.turns:
        return sample
    return replace(sample, request=replace(sample.request, messages=sample.messages), turns=())


def resolve_attack(spec: AttackSpec) -> ResolvedAttack | None:
    """Find an attack and its settings; None for an empty name.

    Raises:
        UnknownName: no plugin offers it, or it has no such setting.
        HarnessError: a setting has a wrong value, or a file of it cannot be read.
    """
    if not spec.name:
        if spec.settings:
            raise HarnessError("-A sets an attack, and none is given", remedy="give --attack NAME")
        return None
    attack = plugins.current().attack(spec.name)
    values = settings.effective(attack.settings, spec.settings, owner=f"attack {spec.name}")
    own = settings.identity(attack.settings, values)
    for name, file in values.items():
        if isinstance(file, Path) and name in own:
            own[name] = _hash_file(name, file)
    facts = {} if attack.facts is None else dict(attack.facts(values))
    try:
        canonical(facts)
    except (TypeError, ValueError) as error:
        raise HarnessError(
            f"attack {attack.name}: its facts cannot be written as JSON: {error}", remedy="its author can fix it"
        ) from error
    found: dict[str, Json] = {"name": attack.name, "version": attack.version, "settings": own}
    return ResolvedAttack(attack=attack, settings=values, identity={**found, "facts": facts} if facts else found)


def _hash_file(name: str, file: Path) -> str:
    """A file is known by its content, wherever it lies."""
    try:
        return sha256(file.expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise HarnessError(f"-A {name}: the file cannot be read: {error.strerror}", where=str(file)) from error
