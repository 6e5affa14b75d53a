"""The table of models."""

from functools import partial

from vlmeval.models import Asking, Broken, Crowd, Echo, Habits, Local, Once, Posting, Served, Single

supported_VLM = {  # noqa: N816 - the real package's name
    "Echo-1": partial(Echo, model="echo", key="key-of-the-table"),
    "Served-1": partial(Served),
    "Habits-1": partial(Habits),
    "Posting-1": partial(Posting),
    "Asking-1": partial(Asking),
    "Asking-2": partial(Asking, at_once=True),
    "Crowd-1": partial(Crowd),
    "Local-7B": partial(Local, model_path="zoo/local-7b"),
    "Once-1": partial(Once),
    "Single-1": partial(Single),
    "Broken-1": partial(Broken),
}
