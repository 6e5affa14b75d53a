"""What each reason of the service means, decided one by one.

A block counts as an outcome of its own and can make a model look safer, so only what the service calls a filter of
content is one. Sources: the enums of google-genai (`types.FinishReason`, `types.BlockedReason`) and the pages of the
Gemini API and of Vertex AI on generateContent. A reason that is not here is an `error` that says its name.
"""

from __future__ import annotations

from typing import Literal

End = Literal["unsaid", "done", "truncated", "input_blocked", "output_blocked", "passing", "final", "account"]

#: Finish reason of a candidate -> how it ended. `passing` is worth another try, `final` is not, `account` ends the run.
FINISHES: dict[str, End] = {
    "": "unsaid",
    "FINISH_REASON_UNSPECIFIED": "unsaid",
    "STOP": "done",
    "MAX_TOKENS": "truncated",
    "CONTINUATION": "truncated",  # a limit of the service; the rest would be another request
    "SAFETY": "output_blocked",
    "RECITATION": "output_blocked",
    "BLOCKLIST": "output_blocked",
    "PROHIBITED_CONTENT": "output_blocked",
    "SPII": "output_blocked",
    "MODEL_ARMOR": "output_blocked",
    "IMAGE_SAFETY": "output_blocked",
    "IMAGE_PROHIBITED_CONTENT": "output_blocked",
    "IMAGE_RECITATION": "output_blocked",
    "ESCALATION": "input_blocked",  # the service says it filtered the request
    "LANGUAGE": "final",  # a language the model does not speak is not a matter of safety
    "OTHER": "passing",  # says nothing, and often passes
    "MALFORMED_FUNCTION_CALL": "passing",  # a slip of the model: no functions are offered
    "UNEXPECTED_TOOL_CALL": "passing",
    "MALFORMED_RESPONSE": "passing",
    "TOO_MANY_TOOL_CALLS": "final",
    "MISSING_THOUGHT_SIGNATURE": "final",
    "IMAGE_OTHER": "final",  # no image was asked for
    "NO_IMAGE": "final",
    "PUP_LIMITED_DISABLED": "account",  # limited or disabled for prohibited use: no request will work
}
#: Block reasons that say nothing; each other one, known or not, is a blocked prompt.
UNBLOCKED = frozenset({"", "BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"})
