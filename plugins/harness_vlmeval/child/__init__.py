"""The other end: runs in the interpreter that has VLMEvalKit, where this harness may not be installed.

Nothing here imports the harness, and nothing but the standard library until VLMEvalKit itself is needed. Started by
path, with the path of the one file of the harness that is loaded with it: `http/reading.py`, which reads answers of
servers and needs the standard library alone. Speaks JSON lines on what were stdin and stdout. Python 3.9 and later.

    → {"id": 1, "op": "open", "name": "GPT4o", …}
    ← {"id": 1, "ok": {…}}                     or {"id": 1, "error": {"kind": "unknown_model", …}}

Operations: `hello` (which package, which version), `list` (names of models), `open` and `generate` (one model, one turn
of text and images by path), `datasets` (names of data sets), `fetch` (download one), `build` (its questions, written to
a file of rows), `evaluate` (their score of answers, one result for each), `close`. An operation that is not known is
refused by `unknown_op`, so more may be added; one that changes raises PROTOCOL.
"""
