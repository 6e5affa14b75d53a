"""How the `hf` provider finds out what a chat template does, and makes prompts of requests by it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest
from harness_hf.generation import encode

from harness import Failure, Generation, HarnessError, Image, Message, Request, Text
from harness.images import inline_image, open_image
from harness.local import Chat, Frontend, Prompt, PromptBuilder, study
from harness.testing.fakes import PIXEL

PICTURE = open_image(inline_image("pixel.png", PIXEL))
MARK = "<|image_pad|>"

PARTS = """\
{%- for m in messages %}[{{ m.role }}]
{%- for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}
{%- endfor %}[assistant]"""
PLAIN = "{%- for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
IMAGES_FIRST = """\
{%- for m in messages %}[{{ m.role }}]
{%- for p in m.content if p.type == 'image' %}<|image_pad|>
{% endfor %}
{%- for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}
{%- endfor %}[assistant]"""
NO_SYSTEM = "{%- if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + PARTS
DROPS_SYSTEM = PARTS.replace("in messages", "in messages if m.role != 'system'")
PLAIN_SYSTEM = """\
{%- for m in messages %}[{{ m.role }}]
{%- if m.role == 'system' %}{{ m.content | trim }}
{%- else %}{% for p in m.content %}{{ '<|image_pad|>' if p.type == 'image' else p.text }}{% endfor %}
{%- endif %}{% endfor %}[assistant]"""
ONE_IMAGE = """\
{%- for m in messages %}[{{ m.role }}]
{%- if m.content | selectattr('type', 'equalto', 'image') | list %}<|image_pad|>{% endif %}
{%- for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}
{%- endfor %}[assistant]"""
TURNS = "{%- if messages | length > 1 %}{{ raise_exception('one turn each') }}{% endif %}" + PARTS
NO_IMAGES = PARTS.replace("<|image_pad|>", "")
OWN_MARK = PARTS.replace("<|image_pad|>", "<picture>")
NOTHING = "{{ raise_exception('out of order') }}"
THINKS = PARTS + "{{ '<think>\\n' if enable_thinking is not defined or enable_thinking else '<think></think>' }}"


def sees(template: str) -> Frontend:
    from tests.plugins import tiny_models

    return Frontend(tiny_models.processor(template), vlm=True)


def reads(template: str) -> Frontend:
    from tests.plugins import tiny_models

    return Frontend(tiny_models.tokenizer(template), vlm=False)


def studied(frontend: Frontend, thinking: str = "auto") -> Chat:
    chat = study(frontend, thinking=thinking)
    assert chat is not None
    return chat


def message(role: Any, *parts: str | Image) -> Message:
    return Message(role=role, content=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def prompt(frontend: Frontend, *messages: Message, escape: bool = True, **more: Any) -> Prompt | Failure:
    return PromptBuilder(frontend, study(frontend, thinking="auto"), escape=escape)(Request(messages=messages, **more))


def text(frontend: Frontend, *messages: Message, **more: Any) -> str:
    made = prompt(frontend, *messages, **more)
    assert isinstance(made, Prompt), made
    return made.text


class TestATemplate:
    @pytest.mark.parametrize(
        ("template", "style", "system"),
        [
            (PARTS, "parts", "parts"),
            (IMAGES_FIRST, "parts", "parts"),
            (PLAIN_SYSTEM, "parts", "plain"),
            (NO_SYSTEM, "parts", None),
            (DROPS_SYSTEM, "parts", None),
            (PLAIN, "plain", "plain"),
        ],
    )
    def test_is_given_content_in_the_form_it_renders(self, template: str, style: str, system: str | None) -> None:
        chat = studied(sees(template))
        assert (chat.style, chat.system) == (style, system)

    @pytest.mark.parametrize(("template", "style"), [(PLAIN, "plain"), (PARTS, "parts")])
    def test_of_a_text_model_is_given_plain_text_where_it_takes_it(self, template: str, style: str) -> None:
        assert studied(reads(template)).style == style

    @pytest.mark.parametrize(
        ("template", "mark", "most"),
        [
            (PARTS, MARK, None),
            (IMAGES_FIRST, MARK, None),
            (OWN_MARK, "<picture>", None),
            (ONE_IMAGE, MARK, 1),
            (NO_IMAGES, "", 0),
            (PLAIN, "", 0),
        ],
    )
    def test_shows_how_many_images_it_places(self, template: str, mark: str, most: int | None) -> None:
        chat = studied(sees(template))
        assert (chat.mark, chat.max_images) == (mark, most)

    def test_that_renders_no_question_is_refused(self) -> None:
        with pytest.raises(HarnessError, match="does not render a question"):
            study(sees(NOTHING), thinking="auto")

    def test_is_none_where_the_model_has_none(self) -> None:
        assert study(reads(""), thinking="auto") is None

    def test_is_the_default_one_of_several(self) -> None:
        from tests.plugins import tiny_models

        tokenizer = tiny_models.tokenizer()
        tokenizer.chat_template = {"tool_use": "tools", "default": PLAIN}
        assert Frontend(tokenizer, vlm=False).template == PLAIN

    @pytest.mark.parametrize(
        ("thinking", "ending", "inside"),
        [("auto", "<think>\n", True), ("on", "<think>\n", True), ("off", "<think></think>", False)],
    )
    def test_with_a_switch_for_thinking_is_switched(self, thinking: str, ending: str, inside: bool) -> None:
        frontend = reads(THINKS)
        chat = studied(frontend, thinking)
        made = PromptBuilder(frontend, chat, escape=True)(Request(messages=(message("user", "hi"),)))
        assert isinstance(made, Prompt)
        assert made.text == f"[user]hi[assistant]{ending}"
        assert (made.reasons, made.thinking) == (True, inside)

    def test_without_a_switch_cannot_be_switched(self) -> None:
        with pytest.raises(HarnessError, match="no switch for thinking"):
            study(reads(PLAIN), thinking="off")


class TestAPrompt:
    def test_keeps_the_order_of_texts_and_images(self) -> None:
        parts = (PICTURE, "one", PICTURE, "two")
        assert text(sees(PARTS), message("user", *parts)) == f"[user]{MARK}one{MARK}two[assistant]"

    def test_holds_the_images_decoded_and_in_order(self) -> None:
        made = prompt(sees(PARTS), message("user", PICTURE, "?"))
        assert isinstance(made, Prompt)
        assert [(image.mode, image.size) for image in made.images] == [("RGB", (1, 1))]

    @pytest.mark.parametrize("template", [PARTS, PLAIN_SYSTEM])
    def test_holds_the_system_message_in_whatever_form(self, template: str) -> None:
        rendered = text(sees(template), message("system", "be kind"), message("user", "hi"))
        assert rendered == "[system]be kind[user]hi[assistant]"

    def test_ends_with_the_prefill(self) -> None:
        assert text(reads(PLAIN), message("user", "hi"), prefill="Sure, ") == "[user]hi[assistant]Sure, "

    def test_never_loses_an_image_in_silence(self) -> None:
        made = prompt(sees(ONE_IMAGE), message("user", PICTURE, PICTURE, "?"))
        assert isinstance(made, Failure)
        assert (made.outcome, made.reason) == ("error", "image_places")
        assert "1 images" in made.message
        assert "holds 2" in made.message

    @pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
    def test_never_loses_a_system_message_in_silence(self, template: str) -> None:
        made = prompt(sees(template), message("system", "be kind"), message("user", "hi"))
        assert isinstance(made, Failure)
        assert (made.outcome, made.reason) == ("error", "system_message")

    def test_that_the_template_refuses_is_a_failure_with_its_words(self) -> None:
        made = prompt(sees(TURNS), message("user", "hi"), message("user", "hello?"))
        assert isinstance(made, Failure)
        assert (made.reason, made.message) == ("chat_template", "one turn each")

    @pytest.mark.parametrize("where", ["user", "system", "prefill"])
    def test_has_no_control_token_that_a_message_spelled_out(self, where: str) -> None:
        spelled = "<|im_end|><|im_start|>"
        messages = [message("system", spelled if where == "system" else "s")]
        messages.append(message("user", spelled if where == "user" else "u"))
        made = prompt(reads(PLAIN), *messages, prefill=spelled if where == "prefill" else "")
        assert isinstance(made, Prompt)
        assert spelled not in made.text
        assert "< |im_end|>< |im_start|>" in made.text
        assert len(made.notes) == 1

    def test_keeps_them_where_that_is_asked_for(self) -> None:
        rendered = text(reads(PLAIN), message("user", "<|im_end|>"), escape=False)
        assert rendered == "[user]<|im_end|>[assistant]"

    def test_carries_how_to_sample_and_what_to_weigh(self) -> None:
        settings = Generation(max_tokens=5)
        made = prompt(reads(PLAIN), message("user", "hi"), settings=settings, choices=("A", "B"))
        assert isinstance(made, Prompt)
        assert (made.settings, made.choices, made.notes) == (settings, ("A", "B"), ())


class TestTheFirstToken:
    """A start token stands in front once, whoever writes it: never twice, never not at all."""

    @pytest.mark.parametrize("written", [True, False])
    @pytest.mark.parametrize("raw", [True, False])
    @pytest.mark.parametrize("vlm", [True, False])
    def test_is_there_once(self, written: bool, raw: bool, vlm: bool) -> None:
        from tokenizers.processors import TemplateProcessing

        from tests.plugins import tiny_models

        owner = tiny_models.processor(PLAIN) if vlm else tiny_models.tokenizer(PLAIN)
        tokenizer = owner.tokenizer if vlm else owner
        tokenizer.bos_token = "<|vision_pad|>"
        start = tokenizer.bos_token_id
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|vision_pad|> $A", special_tokens=[("<|vision_pad|>", start)]
        )
        text = "<|vision_pad|>hello" if written else "hello"
        batch = encode(Frontend(owner, vlm=vlm), [text, text], [(), ()], raw=raw, side="left")
        # a text model's template writes it or wants none; nobody else may write it then
        expected = 0 if not (written or raw or vlm) else 1
        assert [row.count(start) for row in batch["input_ids"].tolist()] == [expected, expected]


class TestTheTokenizerOfAModel:
    def test_fills_rows_up_as_each_thread_asks_while_others_use_it(self) -> None:
        frontend, wrong = sees(PARTS), list[object]()
        interval = sys.getswitchinterval()

        def fill(side: Literal["left", "right"]) -> None:
            texts = ["a", "a long text"]
            for _ in range(150):
                row = encode(frontend, texts, [(), ()], raw=True, side=side)["attention_mask"][0].tolist()
                if row[0 if side == "left" else -1] != 0:
                    wrong.append(row)

        def count() -> None:
            for _ in range(150):
                frontend.count("a text")

        def kept(work: Callable[[], None]) -> Callable[[], None]:
            def run() -> None:
                try:
                    work()
                except Exception as error:
                    wrong.append(error)

            return run

        works = (kept(lambda: fill("left")), kept(lambda: fill("right")), kept(count))
        threads = [threading.Thread(target=work) for work in works]
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert wrong == []
