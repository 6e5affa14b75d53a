"""Local web servers: on 127.0.0.1 only, behind a token. Imported on use (extra `serve`).

    app = chat_app(model, name="mini/base", token=new_token())
    async with serving(app) as served:
        print(served.url)

`serving` and `guarded` serve any ASGI application; `chat_app` is one that lets OpenAI's clients ask a model.
"""

from harness.web.chat import BODY_LIMIT, chat_app
from harness.web.serving import INSTALL, LOOPBACK, Served, guarded, is_loopback, new_token, serving

__all__ = [
    "BODY_LIMIT",
    "INSTALL",
    "LOOPBACK",
    "Served",
    "chat_app",
    "guarded",
    "is_loopback",
    "new_token",
    "serving",
]
