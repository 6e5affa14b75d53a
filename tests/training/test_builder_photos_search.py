"""What finding a photograph by words promises, by its caption and by what it looks like."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from harness_builder.photos.collection import Photo, list_photos
from harness_builder.photos.search import CaptionIndex, ClipIndex, Floats, VectorStore, open_encoder, open_photos

from harness import HarnessError, UnknownName
from harness.images import inline_image
from tests.training import tiny_clip
from tests.training.photo_sets import drawing, folder, photos

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

COLORS = ("red", "green", "blue")


def captioned(*captions: str) -> CaptionIndex:
    image = inline_image("x.png", b"")
    return CaptionIndex([Photo(key=f"a/{each}", image=image, caption=each) for each in captions])


def found(index: CaptionIndex, words: str, count: int = 9) -> list[str]:
    return [photo.caption for photo in index.find(words, count)]


# captions


def test_a_caption_holds_all_words_and_the_one_that_says_least_besides_comes_first() -> None:
    index = captioned("A kitchen knife on a board with bread", "kitchen knife", "A knife", "Our kitchen")
    assert found(index, "kitchen knife") == ["kitchen knife", "A kitchen knife on a board with bread"]
    assert [photo.score for photo in index.find("kitchen knife", 2)] == [1.0, 0.25]
    assert found(index, "kitchen knife", 1) == ["kitchen knife"]


@pytest.mark.parametrize(
    ("words", "caption"),
    [
        ("a knife", "Two KNIVES"),
        ("glass", "Glasses on a shelf"),
        ("vases", "the vase"),
        ("cherries", "One cherry"),
        ("box", "boxes"),
        ("cafe table", "Table of a café"),
        ("the cup", "cup's handle"),
    ],
)
def test_case_accents_articles_and_the_plural_make_no_difference(words: str, caption: str) -> None:
    assert found(captioned(caption), words) == [caption]


@pytest.mark.parametrize(("words", "caption"), [("car", "we care"), ("cup", "cupboard"), ("", "a cup"), ("the", "the")])
def test_a_part_of_a_word_and_no_word_find_nothing(words: str, caption: str) -> None:
    assert found(captioned(caption), words) == []


def test_photographs_that_are_as_good_come_by_their_key() -> None:
    index = captioned("cup two", "cup one", "cup and more")
    assert found(index, "cup") == found(index, "cup") == ["cup one", "cup two", "cup and more"]


def test_ten_thousand_captions_are_searched_at_once(tmp_path: Path) -> None:
    index = captioned(*(f"thing {number} of {number % 7} kinds" for number in range(10_000)))
    assert found(index, "thing 77") == ["thing 77 of 0 kinds"]


# a joint space


class Eye:
    """An Encoder that sees how red, green and blue a picture is.

    Attributes:
        seen: how many pictures it was shown.
    """

    name = "eye"
    width = 3

    def __init__(self) -> None:
        self.seen = 0

    def prepare(self, picture: Picture) -> Floats:
        mean = np.asarray(picture, np.float32).min(axis=(0, 1)) + 1
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def images(self, pictures: Sequence[Floats]) -> Floats:
        self.seen += len(pictures)
        return np.stack(pictures)

    def words(self, text: str) -> Floats:
        return np.array([float(color in text) for color in COLORS], np.float32)


def album(root: Path) -> list[Photo]:
    names = ("red star", "green ring", "blue bar", "red bar")
    folder(root, {f"{name.replace(' ', '-')}.png": name for name in names})
    return list_photos(photos(root))


def looking(found: list[Photo], eye: Eye, work: Path | None, *, least: float = 0.7) -> ClipIndex:
    return ClipIndex(found, eye, work, least=least, tell=lambda _: None)


def keys(index: ClipIndex, words: str, count: int = 9) -> list[str]:
    return [photo.key.removeprefix("album/") for photo in index.find(words, count)]


def test_what_lies_near_the_words_is_found_and_nothing_below_the_least_likeness(tmp_path: Path) -> None:
    index = looking(album(tmp_path / "in"), Eye(), tmp_path)
    assert sorted(keys(index, "red")) == ["red-bar.png", "red-star.png"]
    assert keys(index, "green") == ["green-ring.png"]
    assert keys(index, "yellow") == []
    best = index.find("red", 1)
    assert len(best) == 1
    assert 0.7 <= best[0].score <= 1


def test_photographs_that_look_the_same_come_by_their_key(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.png").write_bytes(drawing("red star"))
    assert keys(looking(list_photos(photos(tmp_path)), Eye(), None), "red") == ["a.png", "b.png", "c.png"]


def test_each_photograph_is_seen_once_in_the_life_of_a_build_and_again_only_where_it_changed(tmp_path: Path) -> None:
    root, eye = tmp_path / "in", Eye()
    before = keys(looking(album(root), eye, tmp_path / "work"), "red")
    assert eye.seen == 4
    assert keys(looking(album(root), again := Eye(), tmp_path / "work"), "red") == before
    assert again.seen == 4, "the files were written anew"
    assert keys(looking(list_photos(photos(root)), third := Eye(), tmp_path / "work"), "red") == before
    assert third.seen == 0


def test_a_build_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number:03}.png").write_bytes(drawing("red star", number, 16))
    all_of_it, work = list_photos(photos(tmp_path)), tmp_path / "work"
    first = looking(all_of_it, eye := Eye(), work)
    assert first.advance()
    assert eye.seen == 64
    (file,) = (work / "photos").iterdir()
    with file.open("ab") as half:
        half.write(b"half a row")
    second = looking(all_of_it, again := Eye(), work)
    assert len(second.find("red", 200)) == 150
    assert again.seen == 150 - 64
    assert len(looking(all_of_it, Eye(), None).find("red", 200)) == 150


def test_another_model_sees_all_anew(tmp_path: Path) -> None:
    all_of_it = album(tmp_path / "in")
    looking(all_of_it, Eye(), tmp_path).find("red", 1)
    other = Eye()
    other.name = "another eye"
    looking(all_of_it, other, tmp_path).find("red", 1)
    assert other.seen == 4


def test_a_photograph_that_cannot_be_opened_is_told_never_found_and_not_tried_again(tmp_path: Path) -> None:
    all_of_it = [*album(tmp_path / "in"), Photo(key="album/x", image=inline_image("x", b"no"), stamp=b"x" * 16)]
    told: list[str] = []
    index = ClipIndex(all_of_it, Eye(), tmp_path, least=0.0001, tell=told.append)
    assert "x" not in keys(index, "red green blue")
    assert told[-1] == "1 photographs cannot be opened, and are not used"
    again = ClipIndex(all_of_it, eye := Eye(), tmp_path, least=0.0001, tell=told.append)
    assert "x" not in keys(again, "red green blue")
    assert eye.seen == 0


def test_how_far_it_is_is_told_in_few_lines(tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / f"{number}.png").write_bytes(drawing("red star", number, 16))
    told: list[str] = []
    ClipIndex(list_photos(photos(tmp_path)), Eye(), None, least=0.5, tell=told.append).find("red", 1)
    assert told == [f"{done} of 130 photographs encoded by eye" for done in (64, 128, 130)]


def test_vectors_of_all_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    kept = VectorStore(tmp_path / "v", 2)
    kept.add([b"a" * 16, b"b" * 16], np.array([[1, 0], [0, 1]], np.float32))
    again = VectorStore(tmp_path / "v", 2)
    (products,) = again.products(again.places([b"b" * 16, b"a" * 16]), np.array([1, 0], np.float32))
    assert products.tolist() == [0, 1]


# open_clip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("clip")
    return f"{tiny_clip.ARCH}:{tiny_clip.weights(place, 100)}"


@pytest.mark.slow
def test_a_model_of_open_clip_that_knows_six_drawings_finds_each(tmp_path: Path, trained: str) -> None:
    captions = {f"{name}/{number}.png": name for name in tiny_clip.NAMES for number in range(3)}
    root = folder(tmp_path / "in", {f"{hash_of(place)}.png": name for place, name in captions.items()})
    index = open_photos(photos(root, by="clip", model=trained, least=0.0), tmp_path / "work")
    right = [photo.caption == name for name in tiny_clip.NAMES for photo in index.find(name, 3)]
    assert len(right) == 18
    assert sum(right) >= 16, "chance is three"


def hash_of(text: str) -> str:
    """A file's name that says nothing of its content."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:8]


def test_a_model_is_known_by_its_weights_and_not_by_where_they_lie(tmp_path: Path, trained: str) -> None:
    arch, _, file = trained.partition(":")
    moved = tmp_path / "elsewhere.pt"
    moved.write_bytes(Path(file).read_bytes())
    one, other = open_encoder(trained), open_encoder(f"{arch}:{moved}")
    assert one.name == other.name
    assert one.width == 32
    assert np.allclose(np.linalg.norm(one.words("red star")), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "kind", "said", "near"),
    [
        ("", HarnessError, "need a model and its weights", "ViT-B-32"),
        ("ViT-B-32", HarnessError, "need a model and its weights", "ViT-B-32"),
        ("ViT-B-23:openai", UnknownName, "no model 'ViT-B-23'", "ViT-B-32"),
        ("ViT-B-32:openia", UnknownName, "no weights 'openia' of ViT-B-32", "'openai'"),
    ],
)
def test_a_model_that_is_not_there_is_named_with_the_nearest(
    model: str, kind: type[HarnessError], said: str, near: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        open_encoder(model)
    assert near in str(caught.value)


def test_weights_of_another_model_and_a_file_that_holds_none_are_said(tmp_path: Path, trained: str) -> None:
    for data in (b"no weights", Path(trained.partition(":")[2]).read_bytes()[:5000]):
        (tmp_path / "w.pt").write_bytes(data)
        with pytest.raises(HarnessError, match="cannot be loaded"):
            open_encoder(f"{tiny_clip.ARCH}:{tmp_path / 'w.pt'}")


def test_without_open_clip_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(HarnessError) as caught:
        open_encoder("ViT-B-32:openai")
    assert caught.value.remedy == "pip install 'vlm-safety-harness[build]'"
