"""Data sets, as far as the child sees them, with their habits."""

# ruff: noqa: RUF012

import base64
import hashlib
import os
import socket
import sys
from pathlib import Path

from vlmeval.smp import Table, dump, load


def root():
    return Path(os.environ["LMUData"])  # noqa: SIM112 - the real package's name


class Base:
    MODALITY = "IMAGE"
    DATASET_URL = {}
    DATASET_MD5 = {}

    @classmethod
    def supported_datasets(cls):
        return list(cls.DATASET_URL)

    def __init__(self, dataset):
        self.dataset_name = dataset
        self.img_root = str(root() / "images" / dataset)
        file = root() / f"{dataset}.tsv"
        wanted = self.DATASET_MD5.get(dataset)
        if not file.exists() or (wanted and hashlib.md5(file.read_bytes()).hexdigest() != wanted):
            download(self.DATASET_URL.get(dataset), file)
        self.data = Table.read(file)
        self.meta_only = "image" not in self.data

    def build_prompt(self, line):
        Path(self.img_root).mkdir(parents=True, exist_ok=True)
        paths = []
        cells = line["image"].strip("[]").replace("'", "").split(", ")
        for number, cell in enumerate(cells):
            path = Path(self.img_root) / f"{line['index']}_{number}.png"
            if not path.exists():  # an old one is taken as it is
                path.write_bytes(base64.b64decode(cell, validate=True))
            paths.append(str(path))
        return [*({"type": "image", "value": path} for path in paths), {"type": "text", "value": line["question"]}]


def download(url, file):
    """Overwrites what is there."""
    if str(url).startswith("here:"):
        file.write_text(url.removeprefix("here:"))
        return
    file.write_text("half a download")
    socket.create_connection(("127.0.0.1", 9), timeout=1)


class ImageMCQDataset(Base):
    TYPE = "MCQ"
    DATASET_URL = {
        "MMStar": "",
        "MMMU_DEV_VAL": "",
        "MMBench_DEV_EN": "",
        "Given": "here:index\timage\tquestion\tA\tanswer\n0\tAAAA\tq\ta\tA\n",
    }
    DATASET_MD5 = {"MMStar": "e1ecd2140806c1b1bbf54b43372efb9e"}

    def evaluate(self, eval_file, **judge):
        assert judge["model"] == "exact_matching", "a model would be asked"
        assert [path.name for path in Path(eval_file).parent.iterdir()] == ["answers.pkl"], (
            "an old result would be used"
        )
        data = load(eval_file)
        said = "|".join(data["prediction"])
        if "crash" in said:
            raise ValueError("All arrays must be of the same length")
        if "die" in said:
            sys.stderr.write("Killed\n")
            os._exit(9)
        if "mmbench" in self.dataset_name.lower():
            raise AssertionError("rotated questions are scored together")
        result = {}
        for row in data.rows:
            said = row["prediction"].strip(" .")
            if said == "lost":
                continue
            known = len(said) == 1
            log = f"Match Log: {said}" if known else "Failed in Prefetch, no GPT-based answer matching"
            odd = {"nan": float("nan"), "inf": float("-inf"), "word": "yes"}
            result[row["index"]] = {"hit": odd.get(said, int(known and said == row["answer"])), "log": log}
        dump(result, str(eval_file).replace(".pkl", "_exact_matching_result.pkl"))
        if "late" in "|".join(data["prediction"]):
            raise ValueError("All arrays must be of the same length")
        if "lost" in data["prediction"]:
            raise KeyError("no such category: lost")
        return {"Overall": sum(each["hit"] for each in result.values()) / len(result)}


class YesNo(Base):
    TYPE = "Y/N"
    DATASET_URL = {"POPE": "", "HallusionBench": ""}

    def evaluate(self, eval_file, **judge):
        data = load(eval_file)
        words = [row["prediction"].lower().split() for row in data.rows]
        data["extracted"] = ["Yes" if "yes" in each else "No" if "no" in each else "Unknown" for each in words]
        data["score"] = [float(row["answer"] == row["extracted"]) for row in data.rows]
        dump(data, str(eval_file).replace(".pkl", "_auxmatch.tsv"))


class ImageVQADataset(Base):
    TYPE = "VQA"
    DATASET_URL = {"TextVQA_VAL": ""}

    def evaluate(self, eval_file, **judge):
        data = load(eval_file)
        right = [row["answer"].split("|") for row in data.rows]
        data["eval_match"] = [
            str([float(row["prediction"] == each) for each in several])
            for row, several in zip(data.rows, right, strict=True)
        ]
        data["eval_score"] = [0.5 for _ in data.rows]
        dump(data, str(eval_file).replace(".pkl", "_results.tsv"))


class Judged(Base):
    TYPE = "VQA"
    DATASET_URL = {"MMVet": ""}

    def evaluate(self, eval_file, **judge):
        raise AssertionError("a model would be asked")


class Film(Base):
    TYPE = "MCQ"
    MODALITY = "VIDEO"
    DATASET_URL = {"Film": ""}


DATASET_CLASSES = [ImageMCQDataset, YesNo, ImageVQADataset, Judged, Film]
SUPPORTED_DATASETS = [name for kind in DATASET_CLASSES for name in kind.supported_datasets()]


def build_dataset(name):
    for kind in DATASET_CLASSES:
        if name in kind.supported_datasets():
            return kind(name)
    file = root() / f"{name}.tsv"
    return ImageMCQDataset(name) if "question" in Table.read(file) else None
