"""What a set is for, as its card says and as everybody reads who asks for it."""

from __future__ import annotations

from typing import Final

USE: Final = (
    "This data set was made to measure and to improve how safe vision-language models are.",
    "Its questions and images are harmful when they are taken together. Its answers decline, and say why.",
    "Use it for research on safety, for evaluation, and for training models to be safer.",
    "Do not use it to make a model less safe, to produce or spread harmful content, or against people.",
    "Do not put it where models are trained on all that stands there: what a model has seen no longer tests it.",
)
PUBLIC: Final = (
    "public: everybody sees the page of the set and its card, and can ask for its files. The gate stays: whoever asks"
    " agrees to the intended use, and you decide. Lift it on the hub, in the settings of the set, if you must."
)
#: what the hub asks of whoever wants the files
FIELDS: Final = {
    "Name": "text",
    "Organisation": "text",
    "Country": "country",
    "What I will use it for": "text",
    "I use it for research on the safety of models, for evaluation, or to make models safer": "checkbox",
    "I will not pass it on without these terms": "checkbox",
}
