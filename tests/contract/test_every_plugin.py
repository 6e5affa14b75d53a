"""Each contract's suite over every installed plugin; and what a source fetches is what its reader reads.

Each source is published on stand-ins in upstream's own layout, made of the packaged split, fetched, and read.
"""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.contracts import Judge, Split, Task
from harness.data import fetching
from harness.data.downloads import DownloadProgress
from harness.data.fetching import fetch
from harness.data.inspection import check_split
from harness.data.places import is_fetchable
from harness.errors import MissingData
from harness.plugins import Host
from harness.settings import effective
from harness.testing.conformance import (
    check_attack,
    check_builder,
    check_judge,
    check_painter,
    check_provider,
    check_report,
    check_strategy,
    check_suite,
    check_task,
)
from harness.testing.fakes import PIXEL, fake_sample
from harness.types import Sample
from tests.core.published import COMMIT, DataSet, Published, tar_gz
from tests.tasks.mm_safetybench_data import hub as mm_safetybench

HOST = Host.load(tell=lambda _: None)
DECLINING = ("adashield-a", "eta")  #: strategies that need a file or a model, which their own tests make
ASKABLE = {"mini": "base"}  #: models that answer here, without a key or a network
PAINTABLE = {"mini": "painter"}  #: models that draw here, without a key or a network
ATTACKING = {"prepend-image": {"file": Path(__file__).parents[2] / "docs/pictures/matrix-12.png"}}
TARGETS = {"yesno": {"answer": "yes"}}  #: what a judge compares with that no packaged split asks for


CHECKS: dict[str, Callable[[Any], None]] = {
    "models": lambda provider: check_provider(provider, ASKABLE.get(provider.scheme, "")),
    "tasks": lambda task: check_task(task, host=HOST),
    "suites": lambda suite: check_suite(suite, host=HOST),
    "judges": lambda judge: check_judge(judge, samples_for(judge), may_decline=judge.name == "people"),
    "strategies": lambda strategy: check_strategy(strategy, may_decline=strategy.name in DECLINING),
    "attacks": lambda attack: check_attack(attack, settings=ATTACKING.get(attack.name)),
    "reports": check_report,
    "painters": lambda painter: check_painter(painter, PAINTABLE.get(painter.scheme, "")),
    "builders": check_builder,
}
OFFERS = [
    pytest.param(kind, item, id=f"{kind} {getattr(item, 'name', None) or item.scheme}")
    for kind in CHECKS
    for item, _ in HOST.offers(kind)
]


def test_every_installed_plugin_loads_and_keeps_its_offers_whole() -> None:
    assert [str(fault) for fault in HOST.check()] == []


def test_something_is_offered_of_each_kind_that_the_core_needs() -> None:
    assert [kind for kind in ("models", "tasks", "judges", "reports") if not HOST.offers(kind)] == []


@pytest.mark.parametrize(("kind", "item"), OFFERS)
def test_each_descriptor_keeps_the_contract_of_its_kind(kind: str, item: object) -> None:
    CHECKS[kind](item)


UPSTREAMS = [
    pytest.param(item, each.name, id=f"{kind} {item.name}")
    for kind in ("tasks", "judges")
    for item, _ in HOST.offers(kind)
    for each in item.settings
    if "upstream" in (each.choices or ())
]


@pytest.mark.parametrize(("item", "setting"), UPSTREAMS)
def test_upstreams_words_that_were_not_fetched_name_the_command_that_fetches_them(
    tmp_path: Path, item: Task | Judge, setting: str
) -> None:
    chosen = effective(item.settings, {setting: "upstream"}, owner=item.name)
    with pytest.raises(MissingData) as caught:
        item.open(chosen, tmp_path) if isinstance(item, Judge) else splits_of(item, chosen, tmp_path)
    assert caught.value.remedy == f"harness data fetch {item.name} --prompts"


def samples_for(judge: Judge) -> list[Sample]:
    """The first and the last samples of each packaged split that accepts a judge."""
    found = [fake_sample(images=1, target=TARGETS[judge.name])] if judge.name in TARGETS else []
    for task, _ in HOST.offers("tasks"):
        for name, split in packaged(task):
            if judge.name in split.judges:
                assert split.data is not None
                samples = list(task.samples(split.data, name, settings(task)))
                found += [*samples[:5], *samples[-5:]]
    return found


def packaged(task: Task) -> Iterator[tuple[str, Split]]:
    """The splits whose data is in the package."""
    splits = splits_of(task, settings(task), Path(task.name))
    return ((name, split) for name, split in splits.items() if split.data is not None)


TASKS = [task for task, _ in HOST.offers("tasks") if task.source is not None]
DOCS = Path(__file__).parents[2] / "docs" / "tasks"
Content = dict[str, bytes]


def mini(task: Task) -> Content:
    """The files of a task's packaged split."""
    splits = splits_of(task, settings(task), Path("nowhere"))
    folder = next((split.data for split in splits.values() if split.data is not None), None)
    return (
        {}
        if folder is None
        else {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )


def settings(task: Task) -> dict[str, object]:
    return dict(effective(task.settings, {}, owner=task.name))


def splits_of(task: Task, chosen: Mapping[str, Any], root: Path) -> Mapping[str, Split]:
    return task.splits if isinstance(task.splits, Mapping) else task.splits(chosen, root)


def split_of(task: Task, name: str, root: Path) -> Split:
    return splits_of(task, settings(task), root)[name]


def renamed(old: str, new: str) -> Callable[[Content], Content]:
    return lambda content: {path.replace(old, new): data for path, data in content.items()}


def zipped(content: Content) -> Content:
    """VLGuard's images lie in a zip, its references in the repository."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for path in [path for path in content if path.startswith("test/")]:
            file.writestr(path, content.pop(path))
    return {**content, "test.zip": made.getvalue(), "data/gpt4_safe_safes.json": content.pop("gpt4_safe_safes.json")}


def images_zipped(content: Content) -> Content:
    """Images lie flat in a zip, as those of SaLAD do."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for path in [path for path in content if path.endswith(".png")]:
            file.writestr(path, content.pop(path))
    return {**content, "image.zip": made.getvalue()}


def table(**columns: list[object]) -> bytes:
    made = io.BytesIO()
    image = pa.array([{"bytes": PIXEL, "path": "1.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    parquet.write_table(pa.table({**columns, "image": image}), made)
    return made.getvalue()


def qbench(_: Content) -> Content:
    options = {f"option{nth}": [text] for nth, text in enumerate(("Sharp", "Blurred", "N/A", "N/A"))}
    return {
        "data/test-00000-of-00001.parquet": table(
            id=[1], question=["How is it?"], **options, question_type=[0], question_concern=[0], correct_choice=["A"]
        )
    }


def mir_safetybench(_: Content) -> Content:
    row = {"id": ["1"], "category": ["Workshop"], "relationship_type": ["Analogy"], "num_images": [1]}
    made = io.BytesIO()
    images = pa.array([[{"bytes": PIXEL, "path": "1.png"}]])
    texts = {"original_question": ["How do I paint?"], "revised_prompt": ["What comes next?"]}
    parquet.write_table(pa.table({**row, **texts, "images": images}), made)
    return {"data/train-00000-of-00001.parquet": made.getvalue()}


def mm_safetybench_plus(content: Content) -> Content:
    questions = {path: data for path, data in content.items() if path.startswith("processed_questions")}
    rows: dict[str, list[object]] = {"category": ["Fraud"] * 2, "mode": ["Gen"] * 2, "label": ["unsafe", "safe"]}
    image = pa.array([{"bytes": PIXEL, "path": "1.png"}] * 2)
    made = io.BytesIO()
    parquet.write_table(pa.table({**rows, "image": image}), made)
    return {**questions, "data/test-00000-of-00001.parquet": made.getvalue()}


def msts(content: Content) -> Content:
    texts = {path: data for path, data in content.items() if path.endswith("textonly.csv")}
    row = {"case_id": ["case_0001"], "prompt_type": ["assistance"], "prompt_text": ["Should I paint it?"]}
    made = io.BytesIO()
    image = pa.array([{"bytes": PIXEL, "path": "1.png"}])
    parquet.write_table(pa.table({**row, "hazard_category": ["Workshop"], "unsafe_image": image}), made)
    return {**texts, "data/english-00000-of-00001.parquet": made.getvalue()}


def mtmcs(content: Content) -> Content:
    found = {"MTMCS_Bench_captions.json": content["MTMCS_Bench_captions.json"]}
    for kind in ("type_a", "type_b"):
        rows = json.loads(content[f"{kind}.json"])
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "image"}
        images = pa.array([{"bytes": PIXEL, "path": "0.png"}] * len(rows))
        made = io.BytesIO()
        parquet.write_table(pa.table({**columns, "image": images}), made)
        found[f"data/{kind}-00000-of-00001.parquet"] = made.getvalue()
    return found


def beavertails_v(_: Content) -> Content:
    made = table(question=["How do I wake a cat?"], category=["animal_abuse"], image_severity=[1])
    return {"data/animal_abuse/evaluation.parquet": made}


def elite(_: Content) -> Content:
    row = {"dataset": ["New"], "taxonomy_code": ["S1"], "taxonomy": ["Violent Crimes"], "image_name": ["New_S1_1.png"]}
    return {"data/train-00000-of-00001.parquet": table(**row, question=["Where is it?"])}


def hades(_: Content) -> Content:
    row = {"id": ["1"], "scenario": ["Animal"], "keywords": ["pat"], "step": [5], "category": ["behavior"]}
    return {"data/test-00000-of-00001.parquet": table(**row, instruction=["How do I pat a cat?"])}


def spa_vl(_: Content) -> Content:
    return {"test/harm-00000-of-00001.parquet": table(question=["What is it?"], class1=["Shapes"])}


def harmbench_labels(_: Content) -> Content:
    votes = {"human_0": 1, "human_1": 0, "human_2": 0}
    answers = {"paint": [{"behavior": "paint", "generation": "Sure.", **votes}]}
    return {"data/classifier_val_sets/text_behaviors_val_set.json": json.dumps(answers).encode()}


def jbb_labels(_: Content) -> Content:
    return {"data/judge-comparison.csv": b"goal,target_response,human1,human_majority\npaint,Sure.,1,1\n"}


def strongreject_labels(_: Content) -> Content:
    return {"human/labelbox.csv": b"forbidden_prompt,response,label_median\npaint,Sure.,0.75\n"}


def xstest_labels(_: Content) -> Content:
    head = b"id,type,prompt,completion,annotation_1,annotation_2,final_label\n"
    return {"model_completions/xstest_v2_completions_gpt4.csv": head + b"1,t,paint,Sure.,1_a,1_a,1_a\n"}


def from_hub(_: Content, folder: Path) -> Content:
    mm_safetybench(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


#: task -> what is published, and the splits that are read; MM-SafetyBench's tables are made apart
PUBLISHED: Mapping[str, tuple[Callable[[Content], Content], tuple[str, ...]]] = {
    "beavertails-v": (beavertails_v, ("evaluation",)),
    "elite": (elite, ("all",)),
    "figstep": (dict, ("full",)),
    "hades": (hades, ("abstract",)),
    "harmbench-labels": (harmbench_labels, ("val",)),
    "harmbench-mm": (dict, ("all",)),
    "holisafe": (dict, ("unsafe", "safe")),
    "jailbreakv": (dict, ("official-mini",)),
    "jbb-labels": (jbb_labels, ("test",)),
    "mir-safetybench": (mir_safetybench, ("all",)),
    "mis": (renamed("mis_mini.json", "mis_easy.json"), ("easy",)),
    "mm-safetybench": (dict, ("sd", "text_only")),
    "mm-safetybench-plus": (mm_safetybench_plus, ("gen",)),
    "mmsafeaware": (dict, ("all",)),
    "mossbench": (dict, ("oversensitivity",)),
    "mssbench": (dict, ("chat",)),
    "msts": (msts, ("english", "textonly")),
    "mtmcs": (mtmcs, ("type_a-unsafe", "type_b-safe-text", "type_a-mcq")),
    "msts-labels": (renamed("mini_multimodal", "english_multimodal"), ("english",)),
    "multibench": (dict, ("decomposition", "composition")),
    "qbench": (qbench, ("test",)),
    "salad": (images_zipped, ("unsafe", "safe")),
    "siuo": (renamed("siuo_mcqa", "data/siuo_mcqa"), ("gen", "mcqa")),
    "spa-vl": (spa_vl, ("harm",)),
    "strongreject": (renamed("strongreject_", "strongreject_dataset/strongreject_"), ("all",)),
    "strongreject-labels": (strongreject_labels, ("all",)),
    "usb": (images_zipped, ("base",)),
    "visco": (dict, ("vs", "vh")),
    "vlguard": (zipped, ("unsafes", "safe_unsafes", "safe_safes")),
    "vljailbreakbench": (dict, ("challenge",)),
    "vlsbench": (dict, ("all",)),
    "vscbench": (dict, ("image", "typography")),
    "xstest": (dict, ("safe",)),
    "xstest-labels": (xstest_labels, ("gpt4",)),
}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with Published() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        monkeypatch.setattr(fetching, "ARCHIVE_URL", place.archive_url)
        yield place


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_fetched_is_what_is_read(name: str, place: Published, tmp_path: Path) -> None:
    task = HOST.task(name)
    assert task.source is not None
    made, splits = PUBLISHED[name]
    content = from_hub({}, tmp_path / "made") if name == "mm-safetybench" else made(mini(task))
    content |= {"README.md": b"read me", "train.zip": b"not needed", "results/big.json": b"[]"}
    if task.source.hub:
        place.sets[task.source.hub] = DataSet(content, commit=task.source.revision or COMMIT)
    if task.source.archive:
        repository, commit, _ = task.source.archive
        place.archives[repository] = tar_gz(content, commit=commit or COMMIT)
    root = tmp_path / name
    fetch(name, task.source, root, DownloadProgress(io.StringIO()))
    if name not in ("mis", "usb", "visco"):  # whose images lie in archives of unknown names
        assert not (root / "train.zip").exists()
    for split in splits:
        check = check_split(task, split, split_of(task, split, root), root, settings(task))
        assert (check.error, check.bad) == (None, {}), split
        assert check.samples > 0


def test_every_built_in_set_of_the_hub_or_of_a_repository_is_tried_here() -> None:
    named = {task.name for task in TASKS if task.source and (task.source.hub or task.source.archive)}
    assert named == set(PUBLISHED)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_source_states_its_licence_and_is_well_formed(task: Task) -> None:
    source = task.source
    assert source is not None
    assert source.licence
    assert source.url.startswith("https://")
    for name in (source.hub, *source.mirrors, source.archive[0] if source.archive else ""):
        assert not name or re.fullmatch(r"[\w.-]+/[\w.-]+", name)
    for commit in (source.revision, source.archive[1] if source.archive else ""):
        assert not commit or re.fullmatch(r"[0-9a-f]{40}", commit)
    for path, url, md5 in source.urls:
        assert url.startswith("https://")
        assert url.endswith(path)
        assert not md5 or re.fullmatch(r"[0-9a-f]{32}", md5)
    assert is_fetchable(source) or task.name in {"lm-eval", "vlmeval"}, "say where it is fetched"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_source_names_the_revision_that_its_counts_were_checked_with_or_says_why_there_is_none(task: Task) -> None:
    source = task.source
    assert source is not None
    named = [source.revision] if source.hub else []
    named += [source.archive[1]] if source.archive else []
    assert bool(source.unchecked) != bool(named and all(named)), "one of both"
    page = (DOCS / f"{task.name.replace('-', '_')}.md").read_text(encoding="utf-8")
    for commit in filter(None, named):
        assert commit[:7] in page
    assert bool(source.unchecked) == ("No revision of it could be checked" in " ".join(page.split()))
