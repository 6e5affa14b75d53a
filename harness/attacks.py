"""The attack of a run: its settings, what identifies it, and what it makes of a sample.

An attack changes what the model is asked, and nothing else. Keys, clusters, tags and the data's hash are those of the
original sample, so a run with an attack pairs with the run without it, and judges read the original goal and images.
An answer's key holds the attack as a part of the identity; what was really asked is in the answer's line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import file_digest
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
class SettingFile:
    """A file that a setting names, which is known by its content.

    Attributes:
        setting: the setting's name.
        path: where it lies.
        stamp: time of its last change, and size.
        sha256: of its content.
    """

    setting: str
    path: Path
    stamp: tuple[int, int]
    sha256: str

    def check(self) -> None:
        """Raise HarnessError if it holds something else now: a part of the run would be asked another question."""
        now = read_setting_file(self.setting, self.path, known=self)
        if now.sha256 != self.sha256:
            raise HarnessError(
                f"-A {self.setting}: the file changed during the run",
                where=str(self.path),
                remedy="restore the old file and give the same command again; or start a new run with the new file",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedAttack:
    """An attack with all its settings.

    Attributes:
        attack: its descriptor.
        settings: all its settings.
        identity: name, version, settings and facts, as run.json holds them.
        files: files that its settings name, as they were when the identity was made.
    """

    attack: Attack
    settings: Mapping[str, Any]
    identity: Mapping[str, Json]
    files: tuple[SettingFile, ...] = ()

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
            HarnessError: a file of its settings is another one than when the run began.
        """
        for file in self.files:
            file.check()
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
            raise PluginError(
                f"attack {self.attack.name} changed how many turns a dialogue has: {len(after)}, not {len(before)}",
                remedy="its author can fix it",
            )
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
            raise HarnessError("-A gives a setting of an attack, but there is no attack", remedy="give --attack NAME")
        return None
    attack = plugins.current().attack(spec.name)
    values = settings.effective(attack.settings, spec.settings, owner=f"attack {spec.name}")
    own = settings.identity(attack.settings, values)
    files = tuple(
        read_setting_file(name, file) for name, file in values.items() if isinstance(file, Path) and name in own
    )
    own |= {file.setting: file.sha256 for file in files}
    facts = {} if attack.facts is None else dict(attack.facts(values))
    try:
        canonical(facts)
    except (TypeError, ValueError) as error:
        raise HarnessError(
            f"attack {attack.name}: its facts cannot be written as JSON: {error}", remedy="its author can fix it"
        ) from error
    found: dict[str, Json] = {"name": attack.name, "version": attack.version, "settings": own}
    if file_hash := plugins.current().find_file_hash("attacks", attack.name):
        found["file"] = file_hash
    identity = {**found, "facts": facts} if facts else found
    return ResolvedAttack(attack=attack, settings=values, identity=identity, files=files)


def read_setting_file(setting: str, path: Path, known: SettingFile | None = None) -> SettingFile:
    """A file that a setting names, or the known one if it is untouched. Raises HarnessError if it cannot be read."""
    file = path.expanduser()
    try:
        found = file.stat()
        stamp = found.st_mtime_ns, found.st_size
        if known is not None and known.stamp == stamp:
            return known
        if not file.is_file():  # a pipe gives no end, and a folder no bytes
            raise HarnessError(f"-A {setting}: this is not a file", where=str(path), remedy="give the path of a file")
        with file.open("rb") as opened:
            content = file_digest(opened, "sha256").hexdigest()
        return SettingFile(setting=setting, path=path, stamp=stamp, sha256=content)
    except OSError as error:
        raise HarnessError(f"-A {setting}: the file cannot be read: {error.strerror}", where=str(path)) from error
