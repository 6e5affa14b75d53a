"""The child process: runs in VLMEvalKit's interpreter, where this harness may not be installed.

It imports nothing from the harness, and only the standard library until it needs VLMEvalKit. It is started by path. Its
argument is the path of the one file of the harness that it loads: `http/reading.py`, which reads servers' answers with
the standard library alone. It speaks JSON lines on its original stdin and stdout. Python 3.9 and later.

    → {"id": 1, "op": "open", "name": "GPT4o", …}
    ← {"id": 1, "ok": {…}}                     or {"id": 1, "error": {"kind": "unknown_model", …}}

Operations: `hello` (package and version), `list` (names of models), `open` and `generate` (one model, one turn of text
and images by path), `datasets` (names of data sets), `fetch` (download one), `build` (write its questions to a file of
rows), `evaluate` (score answers, one result for each), `close`. An unknown operation is refused with `unknown_op`, so
more can be added; a changed one raises PROTOCOL.
"""
