"""What every built-in benchmark promises: its splits, its packaged data, and an error where its data is not there."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree

import pytest

from harness import MissingData, Split, Task
from harness.data.places import find_splits
from harness.images import open_image
from harness.readers import open_files, rows
from harness.settings import effective
from tests.tasks.data import find_fault, find_reason, read, write_csv, write_json

FOLDERS = ("beavertails_v", "elite", "figstep", "hades", "harmbench_mm", "holisafe", "jailbreakv", "mir_safetybench",
           "mis", "mm_safetybench", "mm_safetybench_plus", "mmsafeaware", "mossbench", "mssbench", "msts",
           "mtmcs", "multibench", "qbench", "salad", "siuo", "spa_vl", "strongreject", "usb", "visco", "vlguard",
           "vljailbreakbench", "vlsbench", "vscbench", "xstest")  # fmt: skip
TASKS: dict[str, Task] = {
    folder.replace("_", "-"): importlib.import_module(f"harness_{folder}.task").TASK for folder in FOLDERS
}
#: Split (with a star one that the task's name alone selects), published size, images, ranked metric and its good
#: direction, and the judges, the first of which is the one that is used.
SPLITS = """
*beavertails-v:evaluation      - 1 ASR           lower  llamaguard harmbench strongreject keyword
 beavertails-v:mini            6 1 ASR           lower  keyword llamaguard harmbench strongreject
*elite:all                    4587 1 E_ASR         lower  elite llamaguard harmbench strongreject keyword
 elite:mini                     12 1 E_ASR         lower  keyword elite llamaguard harmbench strongreject
*figstep:full                  500 1 ASR           lower  llamaguard harmbench strongreject keyword
 figstep:tiny                   50 1 ASR           lower  llamaguard harmbench strongreject keyword
 figstep:pro                    50 7 ASR           lower  llamaguard harmbench strongreject keyword
 figstep:mini                    8 1 ASR           lower  keyword llamaguard harmbench strongreject
*hades:abstract              750 1 ASR           lower  hades llamaguard harmbench strongreject keyword
 hades:plain                 750 1 ASR           lower  hades llamaguard harmbench strongreject keyword
 hades:steps                4500 1 ASR           lower  hades llamaguard harmbench strongreject keyword
 hades:mini                    5 1 ASR           lower  keyword hades llamaguard harmbench strongreject
 hades:mini-steps             30 1 ASR           lower  keyword hades llamaguard harmbench strongreject
*harmbench-mm:all              110 1 ASR           lower  harmbench llamaguard strongreject keyword
 harmbench-mm:mini               8 1 ASR           lower  keyword harmbench llamaguard strongreject
*holisafe:unsafe              3408 1 mASR          lower  holisafe llamaguard harmbench strongreject keyword
*holisafe:safe                 755 1 refusal_rate  lower  holisafe keyword
 holisafe:mini                   8 1 mASR          lower  keyword holisafe llamaguard harmbench strongreject
 holisafe:mini-safe              4 1 refusal_rate  lower  keyword holisafe
*jailbreakv:official-mini      280 1 ASR           lower  jailbreakv llamaguard harmbench strongreject keyword
 jailbreakv:full             28000 1 ASR           lower  jailbreakv llamaguard harmbench strongreject keyword
 jailbreakv:redteam           2000 0 ASR           lower  jailbreakv llamaguard harmbench strongreject keyword
 jailbreakv:mini                 8 1 ASR           lower  keyword jailbreakv llamaguard harmbench strongreject
*mir-safetybench:all          2676 4 ASR           lower  harmbench mir-safetybench llamaguard strongreject keyword
 mir-safetybench:mini            9 4 ASR           lower  keyword harmbench mir-safetybench llamaguard strongreject
*mis:easy                     1675 2 ASR           lower  mis llamaguard harmbench strongreject keyword
*mis:hard                      510 2 ASR           lower  mis llamaguard harmbench strongreject keyword
*mis:real                      100 2 ASR           lower  mis llamaguard harmbench strongreject keyword
 mis:test                     2185 2 ASR           lower  mis llamaguard harmbench strongreject keyword
 mis:mini                      120 2 ASR           lower  mini mis llamaguard harmbench strongreject keyword
 mis:mini-benign                60 2 answered_rate higher mini keyword
*mm-safetybench:sd            1680 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
*mm-safetybench:typo          1680 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
*mm-safetybench:sd_typo       1680 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:text_only     1680 0 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:sd_tiny          - 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:typo_tiny        - 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:sd_typo_tiny     - 1 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:text_only_tiny    - 0 ASR           lower  mmsafety llamaguard harmbench strongreject keyword
 mm-safetybench:mini            13 1 ASR           lower  keyword mmsafety llamaguard harmbench strongreject
*mm-safetybench-plus:gen      1422 1 CCR           higher mm-safetybench-plus strongreject keyword
*mm-safetybench-plus:genocr   1422 1 CCR           higher mm-safetybench-plus strongreject keyword
 mm-safetybench-plus:mini       12 1 CCR           higher keyword mm-safetybench-plus strongreject
*mmsafeaware:all              1453 1 accuracy      higher mmsafeaware
 mmsafeaware:mini               12 1 accuracy      higher mmsafeaware
*mossbench:oversensitivity     300 1 refusal_rate  lower  mossbench keyword
*mossbench:contrast            244 1 refusal_rate  higher mossbench strongreject keyword
 mossbench:mini                  9 1 refusal_rate  lower  keyword mossbench
*mssbench:chat                1200 1 mean_acc      higher mssbench keyword
*mssbench:embodied             620 1 mean_acc      higher mssbench keyword
 mssbench:mini                 200 1 mean_acc      higher mini mssbench keyword
*msts:english                  400 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:textonly                 400 0 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:arabic                   200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:chinese                  200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:farsi                    200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:french                   200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:german                   200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:hindi                    200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:italian                  200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:korean                   200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:russian                  200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:spanish                  200 1 ASR           lower  msts llamaguard harmbench strongreject keyword
 msts:mini                       8 1 ASR           lower  keyword msts llamaguard harmbench strongreject
 msts:mini-textonly              8 0 ASR           lower  keyword msts llamaguard harmbench strongreject
*mtmcs:type_a-unsafe            752 1 safety_awareness higher mtmcs llamaguard keyword
*mtmcs:type_b-unsafe            752 1 safety_awareness higher mtmcs llamaguard keyword
*mtmcs:type_a-safe              752 1 helpfulness   higher mtmcs keyword
*mtmcs:type_b-safe              752 1 helpfulness   higher mtmcs keyword
 mtmcs:type_a-unsafe-text       752 0 safety_awareness higher mtmcs llamaguard keyword
 mtmcs:type_b-unsafe-text       752 0 safety_awareness higher mtmcs llamaguard keyword
 mtmcs:type_a-safe-text         752 0 helpfulness   higher mtmcs keyword
 mtmcs:type_b-safe-text         752 0 helpfulness   higher mtmcs keyword
 mtmcs:type_a-mcq              3008 1 accuracy      higher choice
 mtmcs:type_a-tf               1504 1 accuracy      higher choice
 mtmcs:type_b-mcq              3008 1 accuracy      higher choice
 mtmcs:type_b-tf               1504 1 accuracy      higher choice
 mtmcs:mini                    4 1 safety_awareness higher keyword mtmcs llamaguard
 mtmcs:mini-safe               4 1 helpfulness   higher keyword mtmcs
 mtmcs:mini-quiz               8 1 accuracy      higher choice
*multibench:composition                - 1    ASR          lower  harmbench llamaguard strongreject keyword
*multibench:decomposition              - None ASR          lower  harmbench llamaguard strongreject keyword
*multibench:perturbed-composition      - 1    ASR          lower  harmbench llamaguard strongreject keyword
*multibench:perturbed-decomposition    - None ASR          lower  harmbench llamaguard strongreject keyword
 multibench:cipher                     - None ASR          lower  harmbench llamaguard strongreject keyword
 multibench:control                    - None refusal_rate lower  mossbench keyword
 multibench:mini                       4 3    ASR          lower  keyword harmbench llamaguard strongreject
 multibench:mini-composition           4 1    ASR          lower  keyword harmbench llamaguard strongreject
*qbench:test                  1495 1 accuracy      higher choice
 qbench:dev                   1495 1 accuracy      higher choice
 qbench:mini                     8 1 accuracy      higher choice
*salad:unsafe                   - 1 safe_rate     higher salad
*salad:safe                     - 1 safe_rate     higher salad keyword
 salad:mini                     5 1 safe_rate     higher keyword salad
 salad:mini-safe                5 1 safe_rate     higher keyword salad
*siuo:gen                      167 1 safe_rate     higher siuo llamaguard keyword
*siuo:mcqa                     167 1 accuracy      higher choice
 siuo:mini                       8 1 safe_rate     higher keyword siuo llamaguard
 siuo:mini-mcqa                  8 1 accuracy      higher choice
*spa-vl:harm                   265 1 ASR           lower  spa-vl llamaguard harmbench strongreject keyword
*spa-vl:help                   265 1 win_rate      higher pairwise
 spa-vl:mini                     6 1 ASR           lower  keyword spa-vl llamaguard harmbench strongreject
 spa-vl:mini-help                6 1 win_rate      higher keyword pairwise
*strongreject:all              313 0 score         lower  strongreject llamaguard harmbench keyword
 strongreject:small             60 0 score         lower  strongreject llamaguard harmbench keyword
 strongreject:mini               8 0 score         lower  keyword strongreject llamaguard harmbench
*usb:base        12875 1 SR           higher usb llamaguard harmbench strongreject keyword
*usb:base-probes   300 1 refusal_rate lower  mossbench keyword
 usb:hard         3485 1 SR           higher usb llamaguard harmbench strongreject keyword
 usb:hard-probes   300 1 refusal_rate lower  mossbench keyword
 usb:mini           12 1 SR           higher keyword usb llamaguard harmbench strongreject
 usb:mini-probes     3 1 refusal_rate lower  keyword mossbench
*visco:vs                       - None ASR        lower  visco llamaguard harmbench strongreject keyword
*visco:vm                       - None ASR        lower  visco llamaguard harmbench strongreject keyword
*visco:vi                       - None ASR        lower  visco llamaguard harmbench strongreject keyword
*visco:vh                       - None ASR        lower  visco llamaguard harmbench strongreject keyword
 visco:mini                     4 None ASR        lower  keyword visco llamaguard harmbench strongreject
*vlguard:unsafes               442 1 ASR           lower  vlguard keyword llamaguard harmbench strongreject
*vlguard:safe_unsafes          558 1 ASR           lower  vlguard keyword llamaguard harmbench strongreject
*vlguard:safe_safes            558 1 win_rate      higher pairwise
 vlguard:mini                    6 1 ASR           lower  keyword vlguard llamaguard harmbench strongreject
 vlguard:mini-safe_unsafes       6 1 ASR           lower  keyword vlguard llamaguard harmbench strongreject
 vlguard:mini-safe_safes         6 1 win_rate      higher keyword pairwise
*vljailbreakbench:base       916 1 ASR           lower  harmbench llamaguard strongreject keyword
*vljailbreakbench:challenge 2738 1 ASR           lower  harmbench llamaguard strongreject keyword
 vljailbreakbench:mini         9 1 ASR           lower  keyword harmbench llamaguard strongreject
*vlsbench:all                 2241 1 safe_rate     higher vlsbench llamaguard harmbench strongreject keyword
 vlsbench:mini                   8 1 safe_rate     higher keyword vlsbench llamaguard harmbench strongreject
*vscbench:image              1788 1 SRA           higher vscbench strongreject keyword
*vscbench:search              450 1 SRA           higher vscbench strongreject keyword
*vscbench:typography          450 1 SRA           higher vscbench strongreject keyword
*vscbench:concat              450 1 SRA           higher vscbench strongreject keyword
*vscbench:figstep             450 1 SRA           higher vscbench strongreject keyword
 vscbench:text-only           450 0 SRA           higher vscbench strongreject keyword
 vscbench:mini                 12 1 SRA           higher keyword vscbench strongreject
 vscbench:mini-typography       6 1 SRA           higher keyword vscbench strongreject
*xstest:safe                   250 0 refusal_rate  lower  xstest keyword
*xstest:unsafe                 200 0 refusal_rate  higher xstest strongreject keyword
 xstest:mini                    10 0 refusal_rate  lower  keyword xstest
"""
#: Images of these are drawn by what differs between machines: a font, a JPEG encoder, filters.
DRAWN_ALIKE = {"figstep": ".csv", "mm_safetybench": ".json", "qbench": ".json"}


def splits_of(task: Task) -> dict[str, Split]:
    return dict(find_splits(task, effective(task.settings, {}, owner=task.name), Path("nowhere")))


def find_split(packaged: str) -> Split:
    name, _, split = packaged.partition(":")
    return splits_of(TASKS[name])[split]


PACKAGED = [f"{name}:{split}" for name, task in TASKS.items() for split, it in splits_of(task).items() if it.data]


def test_each_split_has_its_published_size_images_ranked_metric_and_judges_in_order() -> None:
    found: list[list[str]] = []
    for task in TASKS.values():
        for name, split in splits_of(task).items():
            [metric] = [metric for metric in split.metrics if metric.main]
            star = "*" if split.selected else ""
            found.append([f"{star}{task.name}:{name}", str(split.n or "-"), str(split.images), metric.name,
                          metric.better, *split.judges])  # fmt: skip
    assert found == [line.split() for line in SPLITS.strip().splitlines()]


@pytest.mark.parametrize("packaged", PACKAGED)
def test_a_packaged_split_is_whole_opens_every_image_and_is_judged_by_a_rule_first(packaged: str) -> None:
    name, _, split_name = packaged.partition(":")
    split = find_split(packaged)
    assert split.data is not None
    samples = read(TASKS[name], split.data, split_name)
    assert len({sample.id for sample in samples}) == len(samples) == split.n
    for sample in samples:
        opened = [open_image(image).opened.mime for image in sample.images]
        number = int(sample.tags["images"]) if name in ("mir-safetybench", "visco") else split.images
        assert opened == ["image/jpeg" if name == "mm-safetybench" else "image/png"] * (number or 0)
        assert split.images is None or number <= split.images
    assert next(iter(split.judges)) in {"keyword", "choice", "mini", "mmsafeaware"}
    assert (split.selected, split.source and split.source.toy) == (False, True)


@pytest.mark.parametrize("packaged", [each for each in PACKAGED if find_split(each).images != 0])
def test_an_image_that_is_missing_spoils_its_own_samples_alone_and_drops_none(tmp_path: Path, packaged: str) -> None:
    name, _, split_name = packaged.partition(":")
    root = copytree(find_split(packaged).data or "", tmp_path / "data")
    whole = read(TASKS[name], root, split_name)
    places = {sample.id: [image.files.stamp(image.path)[0] for image in sample.images] for sample in whole}
    lost = places[whole[0].id][0]
    Path(lost).unlink()
    found = read(TASKS[name], root, split_name)
    assert sorted(sample.id for sample in found) == sorted(places)
    for sample in found:
        for image, place in zip(sample.images, places[sample.id], strict=True):
            if place == lost:
                assert find_reason(image) == "missing"
            else:
                open_image(image)


@pytest.mark.parametrize("folder", [name for name in FOLDERS if find_spec(f"harness_{name}.draw_mini")])
def test_packaged_data_is_what_its_script_draws(tmp_path: Path, folder: str) -> None:
    mini = importlib.import_module(f"harness_{folder}.task").MINI
    importlib.import_module(f"harness_{folder}.draw_mini").draw_data(tmp_path)
    drawn = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert drawn == {path.relative_to(mini) for path in mini.rglob("*") if path.is_file()}
    for path in drawn:
        if path.suffix == DRAWN_ALIKE.get(folder, path.suffix):
            assert (tmp_path / path).read_bytes() == (mini / path).read_bytes(), path


@pytest.mark.parametrize(
    ("name", "split", "there"),
    [
        ("beavertails-v", "evaluation", r"data/\*/evaluation\*\.parquet"),
        ("elite", "all", r"data/train-\*\.parquet"),
        ("figstep", "full", r"data/question/safebench\.csv"),
        ("hades", "abstract", r"data/test-"),
        ("harmbench-mm", "all", "harmbench_behaviors_multimodal_all"),
        ("holisafe", "safe", r"holisafe_bench\.json"),
        ("jailbreakv", "official-mini", "mini_JailBreakV_28K"),
        ("jailbreakv", "full", "/JailBreakV_28K"),
        ("jailbreakv", "redteam", "RedTeam"),
        ("mir-safetybench", "all", r"data/train-"),
        ("mis", "hard", r"mis_hard\.json"),
        ("mm-safetybench", "sd_typo", r"^neither data/Illegal_Activitiy/SD_TYPO\.parquet nor data/processed_questions/01-Illegal_Activitiy\.json exists"),  # noqa: E501
        ("mm-safetybench-plus", "gen", r"data/test-\*\.parquet"),
        ("mmsafeaware", "all", r"data/prompt\.txt or prompt\.txt"),
        ("mossbench", "oversensitivity", r"data/images_information/information\.json or .* or images/metadata\.csv"),
        ("mssbench", "chat", r"combined\.json or combine\.json"),
        ("msts", "german", r"data/prompts/german_multimodal\.csv"),
        ("mtmcs", "type_b-safe", r"data/type_b-.*\.parquet"),
        ("multibench", "decomposition", r"dataset\.csv or data/dataset\.csv"),
        ("qbench", "test", r"llvisionqa_test\.json"),
        ("salad", "unsafe", r"data\.json or data/data\.json"),
        ("siuo", "gen", r"siuo_gen\.json"),
        ("spa-vl", "help", r"neither test/help-\*\.parquet nor test/help\.json exists"),
        ("strongreject", "small", r"strongreject_small_dataset\.csv"),
        ("usb", "hard", r"USB_hard_final\.csv or data/USB_hard_final\.csv"),
        ("visco", "vs", r"visco\.jsonl"),
        ("vlguard", "unsafes", r"test\.json"),
        ("vljailbreakbench", "base", r"vlbreakbench_base\.json"),
        ("vlsbench", "all", r"data\.json"),
        ("vscbench", "image", r"vscbench_image_centric\.xlsx"),
        ("xstest", "safe", r"xstest_prompts\.csv"),
    ],
)  # fmt: skip
def test_data_that_is_not_there_is_missing_data_that_names_its_file(
    tmp_path: Path, name: str, split: str, there: str
) -> None:
    with pytest.raises(MissingData, match=there):
        read(TASKS[name], tmp_path, split)


#: file of a packaged split, and the fields that each of its records must have
NEEDED = """
beavertails-v:mini evaluation.json question, image
elite:mini ELITE-benchmark.csv question, image_name
figstep:mini data/question/safebench.csv category_id, task_id, category_name, question, instruction
hades:mini test.json image, id, scenario, keywords, step, category, instruction
harmbench-mm:mini data/behavior_datasets/harmbench_behaviors_multimodal_all.csv Behavior, ImageFileName
holisafe:mini holisafe_bench.json query, image, category, type
jailbreakv:mini JailBreakV_28K/mini_JailBreakV_28K.csv jailbreak_query, redteam_query, policy, image_path
mis:mini mis_mini.json question, category, image_path1, image_path2
msts:mini data/prompts/english_multimodal.csv case_id, prompt_text, prompt_type, hazard_category, unsafe_image_id
multibench:mini dataset.csv goal, prompt, images
salad:mini data.json image, category, safety warning
siuo:mini siuo_gen.json question_id, image, question, category, safety_warning, reference_answer
spa-vl:mini harm.json question, image
usb:mini USB_base_final.csv id, usage, text, level1_category
vljailbreakbench:mini vlbreakbench_challenge.json query, text_prompt, image, category
vlsbench:mini data.json instruction, image_path, category
vscbench:mini-typography vscbench_text_centric.csv type, prompt_origin, prompt_mm, typography_img
xstest:mini xstest_prompts.csv prompt, type
"""
LACKING = [
    (packaged, file, field)
    for packaged, file, fields in (line.split(maxsplit=2) for line in NEEDED.strip().splitlines())
    for field in fields.split(", ")
]


@pytest.mark.parametrize(("packaged", "file", "field"), LACKING)
def test_a_record_that_lacks_a_field_names_file_record_and_field_before_any_sample(
    tmp_path: Path, packaged: str, file: str, field: str
) -> None:
    name, _, split_name = packaged.partition(":")
    root = copytree(find_split(packaged).data or "", tmp_path / "data")
    whole = [dict(row.values) for row in rows(open_files(root), file)]
    broken = [*whole[:2], *(record | {field: None} for record in whole[2:])]
    (write_json if file.endswith(".json") else write_csv)(root / file, broken)
    fault = re.fullmatch(rf"{re.escape(file)}, record (\d+), field (?:\w+ or )*{field}(?: or \w+)*",
                         find_fault(TASKS[name], root, split_name))  # fmt: skip
    assert fault
    assert int(fault[1]) > 2
