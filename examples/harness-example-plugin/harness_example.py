"""An example plugin: a model behind any chat server, a task of picture pairs, and a judge of what was answered."""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import harness as h


# --- a model: --model example/NAME -M url=http://127.0.0.1:8000/v1 ---------------------------------------------------
class ChatModel:
    """One model behind a server of Chat Completions."""

    def __init__(self, name: str, client: "h.http.Client") -> None:
        self.info = h.ModelInfo(ref=f"example/{name}", endpoint=client.address.id)
        self.name, self.client = name, client

    async def generate(self, request: h.Request) -> h.Response | h.Failure:
        from harness import http
        from harness.http import chat

        asked = {"model": self.name, **chat.sampling(request.settings), "messages": chat.messages(request)}
        reply = await self.client.post("/chat/completions", http.encode(asked))
        return reply if isinstance(reply, h.Failure) else chat.answer(reply)


@asynccontextmanager
async def open_model(name: str, settings: h.Settings) -> AsyncGenerator[h.Model]:
    from harness import http

    async with http.connect(http.address(settings["url"])) as client:
        yield ChatModel(name, client)


@h.hookimpl
def harness_models() -> Iterable[h.Provider]:
    url = h.Setting(name="url", type=str, default="http://127.0.0.1:8000/v1", identity=True, help="the chat server")
    return [h.Provider(scheme="example", description="a chat server", open=open_model, settings=(url,))]


# --- a task: --tasks example --data data ------------------------------------------------------------------------------
def samples(root: Path, split: str, settings: h.Settings) -> Iterator[h.Sample]:
    """The records of `questions.json`, each with two pictures."""
    from harness import readers

    files = readers.open_files(root)
    for row in readers.rows(files, "questions.json"):
        first, second = row.texts("images")
        request = readers.prompt(files.image(first), files.image(second), row.text("question"))
        yield h.Sample(id=row.key("id"), split=split, request=request, category=row.text("category"))


@h.hookimpl
def harness_tasks() -> Iterable[h.Task]:
    split = h.Split(
        images=2,
        judges={"example": {}},
        metrics=(
            h.rate("careless_rate", "careless", better="lower"),
            h.rate("refusal_rate", "refused", better="lower"),
        ),
        labels=("careful", "careless", "refused"),
        group="safety",
        defaults=h.Generation(temperature=0.0, max_tokens=200),
        blocked_as=h.Verdict(label="refused"),
        empty_as=h.Verdict(label="refused"),
    )
    text = "two things that are harmless apart"
    return [h.Task(name="example", version="1", description=text, splits={"all": split}, samples=samples)]


# --- a judge: --judge example=SCHEME/NAME -----------------------------------------------------------------------------
@h.hookimpl
def harness_judges() -> Iterable[h.Judge]:
    from harness import rubric

    return [
        rubric.judge(
            name="example",
            version="1",
            description="careful, careless or refused",
            template=Path(__file__).with_suffix(".j2"),
            fields={"reason": str, "answer": ("careful", "careless", "refused")},
            label="answer",
        )
    ]
