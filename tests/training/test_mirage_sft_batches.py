"""What a batch holds: images where they stood, and a loss on answers only, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mirage.mixture import Picture, Record, load_picture, measure_picture

from harness import BadData, BadImage, HarnessError
from tests.plugins.tiny.folders import Folders
from tests.training.tiny_training import KNOWN, kinds, pair, picture, recipe, record, training

#: How an answer ends, and what stands before it in the same turn.
ENDS = {
    **dict.fromkeys(KNOWN, ("", "<|im_end|>")),
    **dict.fromkeys(("idefics3", "smolvlm"), (" ", "<end_of_utterance>")),
    "llava_next": (" ", "</s>"),
    "gemma3": ("", "<end_of_turn>"),
}


def opened(folder: Path) -> Any:
    from harness_mirage.models.base import open_base

    return open_base(training(folder, Path("out")), recipe())


@pytest.fixture
def base(folders: Folders) -> Any:
    """Of Qwen2-VL's kind."""
    return opened(folders["qwen2_vl"])


def collator(base: Any, records: Sequence[Record], pixels: int | None = None, mark: str = "") -> Any:
    from harness_mirage.sft.batches import ChatEncoder, Collator, encode_all

    chats = encode_all(ChatEncoder(base.frontend, base.chat, base.mark), records)
    return Collator(frontend=base.frontend, records=records, chats=chats, pixels=pixels, mark=mark)


def batch(base: Any, records: Sequence[Record], pixels: int | None = None, mark: str = "") -> Any:
    return collator(base, records, pixels, mark)([{"record": at} for at in range(len(records))])


def learnt(base: Any, row: Sequence[int]) -> list[str]:
    """The texts of the runs of tokens that are learnt."""
    runs: list[list[int]] = [[]]
    for token in row:
        if token == -100:
            runs.append([])
        else:
            runs[-1].append(token)
    return [base.frontend.tokenizer.decode(run) for run in runs if run]


class TestTheLabels:
    @pytest.mark.parametrize("name", KNOWN)
    def test_are_the_answers_and_their_end_and_nothing_else_on_the_tokens_they_name(
        self, folders: Folders, name: str
    ) -> None:
        base = opened(folders[name])
        made = batch(base, kinds())
        before, end = ENDS[name]
        wanted = [["No, that is not safe."], ["For fun."], ["Fine."], ["One.", "Two."]]
        assert [learnt(base, row) for row in made["labels"].tolist()] == [
            [f"{before}{answer}{end}" for answer in answers] for answers in wanted
        ]
        kept = made["labels"] != -100
        assert (made["labels"][kept] == made["input_ids"][kept]).all()
        assert (made["attention_mask"][kept] == 1).all()

    def test_are_found_though_a_user_says_the_same_words(self, base: Any) -> None:
        said = record(0, "Yes.", "Yes.", "Say: assistant\nYes.", "Yes.")
        made = batch(base, [said])
        text = base.frontend.tokenizer.decode(made["input_ids"][0])
        at = [index for index, token in enumerate(made["labels"][0].tolist()) if token != -100]
        heads = [base.frontend.tokenizer.decode(made["input_ids"][0][:index]) for index in (at[0], at[-5])]
        assert learnt(base, made["labels"][0].tolist()) == ["Yes.<|im_end|>"] * 2
        assert all(head.endswith("<|im_start|>assistant\n") for head in heads)
        assert text.count("Yes.") == 4

    def test_do_not_depend_on_what_else_is_in_the_batch(self, folders: Folders) -> None:
        base = opened(folders["internvl"])
        together, alone = batch(base, kinds()), [batch(base, [each]) for each in kinds()]
        for row, single in zip(together["labels"].tolist(), alone, strict=True):
            own = single["labels"][0].tolist()
            assert row == own + [-100] * (len(row) - len(own))

    def test_end_with_the_end_of_text_where_the_template_ends_no_answer(self, base: Any) -> None:
        base.frontend.template = (
            "{% for m in messages %}{{ m.role }}:{% for p in m.content %}"
            "{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %} {% endfor %}"
            "{{ 'assistant:' if add_generation_prompt else '' }}"
        )
        assert learnt(base, batch(base, [record(0, "Hi", "Ho")])["labels"][0].tolist()) == ["Ho<|im_end|>"]


class TestTheText:
    @pytest.mark.parametrize("name", KNOWN)
    def test_is_what_generation_would_see_and_then_the_answer(self, folders: Folders, name: str) -> None:
        base = opened(folders[name])
        made = batch(base, [pair(0)])
        content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "May I, case 0?"}]
        asked = base.frontend.render([{"role": "user", "content": content}], {})
        images = [[_pixels(each) for each in pair(0).pictures]]
        prompt = base.frontend.encode(text=[asked], images=images, return_tensors="pt", add_special_tokens=False)
        length = prompt["input_ids"].shape[1]
        assert made["input_ids"][0][:length].tolist() == prompt["input_ids"][0].tolist()
        assert made["labels"][0][length].item() != -100
        assert (made["labels"][0][:length] == -100).all()
        assert (made["pixel_values"] == prompt["pixel_values"]).all()

    def test_keeps_an_image_inside_a_sentence_where_it_stood(self, folders: Folders) -> None:
        base = opened(folders["qwen3_vl"])
        text = base.frontend.tokenizer.decode(batch(base, [kinds()[1]])["input_ids"][0])
        assert "What is <|vision_start|><|image_pad|>" in text
        assert "<|vision_end|> for?" in text

    def test_breaks_up_a_control_token_that_a_record_spells_out(self, base: Any) -> None:
        made = batch(base, [record(0, "Say <|im_end|><|image_pad|>", "No <|im_end|> at all")])
        assert learnt(base, made["labels"][0].tolist()) == ["No < |im_end|> at all<|im_end|>"]

    def test_takes_a_system_turn(self, base: Any) -> None:
        text = base.frontend.tokenizer.decode(batch(base, [record(0, "Hi", "Ho", system="Be kind.")])["input_ids"][0])
        assert text.startswith("<|im_start|>system\nBe kind.")


class TestRecordsWithoutImages:
    @pytest.mark.parametrize("name", KNOWN)
    def test_get_a_blank_one_that_runs_the_tower_and_changes_no_loss_where_devices_train_together(
        self, folders: Folders, name: str
    ) -> None:
        base = opened(folders[name])
        words = [record(0, "Only words, and some more of them?", "Fine."), record(1, "Or these?", "No.", "So?", "Yes.")]
        alone, together = (batch(base, words, mark=mark) for mark in ("", base.mark))
        losses = []
        for made in (alone, together):
            made.pop("records")
            losses.append(base.model(**made).loss)
        losses[1].backward()
        seen = [weight.grad for part, weight in base.model.named_parameters() if part in base.roles.named["vision"]]
        assert [learnt(base, row) for row in together["labels"].tolist()] == [
            learnt(base, row) for row in alone["labels"].tolist()
        ]
        assert "pixel_values" in together
        assert "pixel_values" not in alone
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
        assert any(gradient is not None for gradient in seen)
        assert all(gradient is None or not gradient.any() for gradient in seen)

    def test_get_none_beside_a_record_that_has_images(self, base: Any) -> None:
        alone, together = (batch(base, kinds(), mark=mark) for mark in ("", base.mark))
        assert (alone["input_ids"] == together["input_ids"]).all()
        assert (alone["pixel_values"] == together["pixel_values"]).all()


class TestImages:
    def test_are_black_where_a_record_has_no_file(self) -> None:
        assert load_picture(Picture(), None, "here").getextrema() == ((0, 0),) * 3

    def test_are_scaled_down_to_the_recipes_pixels(self) -> None:
        large = picture(2)
        assert load_picture(large, None, "here").size == (96, 96)
        assert load_picture(large, 2500, "here").size == measure_picture(large, 2500, "here") == (50, 50)

    def test_that_are_missing_are_named_by_their_record(self, base: Any) -> None:
        gone = Picture(path="gone.png", files=_Nothing())
        with pytest.raises(BadData, match=r"gone\.png") as raised:
            batch(base, [record(4, "<image>", "Yes.", pictures=(gone,))])
        assert raised.value.where == "tiny.json: record 4"


class TestRecordsThatCannotBeWritten:
    def test_are_all_named_before_training(self, base: Any) -> None:
        bad = [record(at, "<image>?", "No.", pictures=(picture(1), picture(2))) for at in range(3)]
        with pytest.raises(BadData, match="3 records") as raised:
            collator(base, [pair(0), *bad])
        assert "tiny.json: record 2" in raised.value.what

    def test_for_a_system_turn_are_refused_where_the_template_takes_none(self, base: Any) -> None:
        base = replace(base, chat=replace(base.chat, system=None))
        with pytest.raises(BadData, match="no system message"):
            collator(base, [record(0, "Hi", "Ho", system="Be kind.")])

    def test_for_a_template_that_rewrites_earlier_answers_are_refused(self, base: Any) -> None:
        base.frontend.template = base.frontend.template.replace(
            "part.text }}", "('…' if message.role == 'assistant' and not loop.last else part.text) }}"
        ).replace("for message in messages", "for message in messages[-3:]")
        with pytest.raises(BadData, match="rewrites an answer"):
            collator(base, [record(0, "A", "B", "C", "D", "E", "F")])

    def test_whose_answer_the_processor_loses_stop_the_training(self, folders: Folders) -> None:
        from harness_mirage.sft.batches import EncodedChat

        base = opened(folders["qwen2_vl"])
        made = collator(base, [record(0, "Hi", "Ho")])
        lost = replace(made, chats=[EncodedChat(text="Hi", answers=made.chats[0].answers)])
        with pytest.raises(HarnessError, match="not found among the tokens"):
            lost([{"record": 0}])


class TestTheLength:
    @pytest.mark.parametrize("name", KNOWN)
    def test_is_known_without_cutting_an_image(self, folders: Folders, name: str) -> None:
        from harness_mirage.sft.batches import TokenCounter

        base = opened(folders[name])
        made = collator(base, kinds())
        counter = TokenCounter(base.frontend, base.chat.mark, None)
        for at, each in enumerate(kinds()):
            assert counter.count(each, made.chats[at]) == made([{"record": at}])["input_ids"].shape[1]

    def test_leaves_long_records_out_whole_and_names_them(self, folders: Folders) -> None:
        from harness_mirage.sft.batches import TokenCounter, split_by_length

        base = opened(folders["qwen2_vl"])
        records = [pair(0), record(1, "word " * 100, "Yes."), pair(2)]
        counter = TokenCounter(base.frontend, base.chat.mark, None)
        kept, long = split_by_length(counter, records, collator(base, records).chats, 200)
        assert kept == [0, 2]
        assert [(each.place, each.tokens > 500) for each in long] == [("tiny.json: record 1", True)]


class _Nothing:
    """Files of which none is there."""

    root = Path("nowhere")

    def read(self, path: str) -> bytes:
        raise BadImage(path, "missing")

    def stamp(self, path: str) -> tuple[str, int, int]:
        return path, 0, 0


def _pixels(each: Picture) -> Any:
    return load_picture(each, None, "")
