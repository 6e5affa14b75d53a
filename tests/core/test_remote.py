"""Run folders at an address: copied whole, their manifest last, and read by a checked local copy."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

import harness
from harness import remote
from harness.errors import HarnessError
from harness.remote import MANIFEST, fetch_folder, fetch_folders, is_remote, join_address, list_addresses, upload_folder
from harness.runs.uploading import fetch_shards, upload_run
from tests.acceptance.commands import Ended, harness_here

MODEL = ("--model", "mini/base", "--tasks", "mis:mini")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def bucket() -> Iterator[str]:
    """An address in memory, empty at first."""
    files: Any = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield "memory://bucket/run"
    files.store.clear()


def make_folder(place: Path, **files: str) -> Path:
    for name, text in {"run.json": "{}", "results.json": "[]", "mis/asked.jsonl": "1\n", **files}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def read_all(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def list_there() -> set[str]:
    return {name.removeprefix("/bucket/run/") for name in fsspec.filesystem("memory").store}


def read_manifest() -> dict[str, Any]:
    return dict(json.loads(fsspec.filesystem("memory").cat_file("/bucket/run/manifest.json")))


def test_a_folder_comes_back_as_it_was_without_locks_and_shards(tmp_path: Path, bucket: str) -> None:
    folder = make_folder(tmp_path / "run")
    hidden = {".writers.lock": "", ".shards/0-of-2/run.json": "{}", "mis/.asked.jsonl.new": "x"}
    make_folder(tmp_path / "run", **hidden)
    upload_folder(folder, bucket, of="a")
    assert list_there() == {"run.json", "results.json", "mis/asked.jsonl", MANIFEST}
    assert read_all(fetch_folder(bucket)) == {"run.json": "{}", "results.json": "[]", "mis/asked.jsonl": "1\n"}


def test_a_second_upload_sends_only_what_has_changed_and_removes_what_is_gone(tmp_path: Path, bucket: str) -> None:
    folder = make_folder(tmp_path / "run", old="x")
    assert upload_folder(folder, bucket, of="a").sent == 4
    (folder / "old").unlink()
    (folder / "results.json").write_text("[1]")
    again = upload_folder(folder, bucket, of="a")
    assert (again.sent, again.kept, again.bytes) == (1, 2, 3)
    assert list_there() == {"run.json", "results.json", "mis/asked.jsonl", MANIFEST}
    assert read_all(fetch_folder(bucket))["results.json"] == "[1]"
    assert upload_folder(folder, bucket, of="a").sent == 0


def test_another_run_of_the_same_model_is_not_replaced(tmp_path: Path, bucket: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, limit in ((first, 3), (second, 5)):
        ended = harness_here("run", *MODEL, "--limit", limit, "--output", folder)
        assert ended.code == 0, ended.err
    upload_run(first, bucket)
    before = list_there()
    with pytest.raises(HarnessError, match=r"(?s)the copy of another run.*give another address"):
        upload_run(second, bucket)
    assert harness_here("run", *MODEL, "--limit", 6, "--output", first).code == 0
    assert harness_here("judge", first, "--judge", "keyword").code == 0
    assert upload_run(first, bucket).sent > 0, "a run that went on is the same one"
    assert list_there() >= before


def test_what_is_no_name_of_a_shard_is_never_fetched(tmp_path: Path, bucket: str) -> None:
    fsspec.filesystem("memory").pipe_file("/bucket/run/.shards/../manifest.json", b"{}")
    assert remote.list_copies(bucket, ".shards") == [".."]
    with pytest.raises(HarnessError, match="there are no copies of shards here"):
        fetch_shards(bucket, tmp_path / "run")
    assert not (tmp_path / "run").exists()


SHARD = "/bucket/run/.shards/0-of-2"


def upload_shard(place: Path, bucket: str, **files: str) -> None:
    upload_folder(make_folder(place, **files), f"{bucket}/.shards/0-of-2", of="a")


def test_a_shard_that_was_run_here_after_a_fetch_failed_is_never_replaced(tmp_path: Path, bucket: str) -> None:
    upload_shard(tmp_path / "there", bucket)
    whole = fsspec.filesystem("memory").cat_file(f"{SHARD}/{MANIFEST}")
    half = whole.replace(b'"whole": true', b'"whole": false')
    fsspec.filesystem("memory").pipe_file(f"{SHARD}/{MANIFEST}", half)
    with pytest.raises(HarnessError, match="not whole"):
        fetch_shards(bucket, tmp_path / "run")
    mine = make_folder(tmp_path / "run" / ".shards" / "0-of-2", **{"mis/responses.jsonl": "paid"})
    fsspec.filesystem("memory").pipe_file(f"{SHARD}/{MANIFEST}", whole)
    with pytest.raises(HarnessError, match="made here, so it is not replaced"):
        fetch_shards(bucket, tmp_path / "run")
    assert (mine / "mis" / "responses.jsonl").read_text() == "paid"


def test_a_fetched_shard_that_went_on_here_is_never_replaced(tmp_path: Path, bucket: str) -> None:
    upload_shard(tmp_path / "there", bucket)
    fetch_shards(bucket, tmp_path / "run")
    fetch_shards(bucket, tmp_path / "run")
    mine = tmp_path / "run" / ".shards" / "0-of-2"
    with (mine / "mis" / "asked.jsonl").open("a") as file:
        file.write("2\n")
    upload_shard(tmp_path / "there", bucket, **{"results.json": "[1]"})
    with pytest.raises(HarnessError, match=r"(?s)has been changed here since.*harness merge"):
        fetch_shards(bucket, tmp_path / "run")
    assert (mine / "mis" / "asked.jsonl").read_text() == "1\n2\n"


def test_a_fetch_that_breaks_off_leaves_the_shard_as_it_was(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_shard(tmp_path / "there", bucket, old="x")
    fetch_shards(bucket, tmp_path / "run")
    mine = tmp_path / "run" / ".shards" / "0-of-2"
    before = read_all(mine)
    (tmp_path / "there" / "old").unlink()
    upload_shard(tmp_path / "there", bucket, **{"results.json": "[1]", "run.json": "[2]"})
    with monkeypatch.context() as patched:
        Broken(patched, 2, "get")
        with pytest.raises(HarnessError, match="the wire was cut"):
            fetch_shards(bucket, tmp_path / "run")
    assert {**before, ".writers.lock": ""} == read_all(mine)
    fetch_shards(bucket, tmp_path / "run")
    found = read_all(mine)
    assert (found["results.json"], found["run.json"], "old" in found) == ("[1]", "[2]", False)
    assert [path.name for path in mine.parent.iterdir()] == ["0-of-2"]


class Broken:
    """Breaks an upload before the file of a number, counted over all that is written there; or other calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int, *names: str) -> None:
        self.left = left
        place: Any = remote._Place  # pyright: ignore[reportPrivateUsage]
        for name in names or ("write", "send", "remove"):
            monkeypatch.setattr(place, name, self.count(getattr(place, name)))

    def count(self, do: Any) -> Any:
        def counted(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise ConnectionError("the wire was cut")
            return do(*args)

        return counted


@pytest.mark.parametrize("step", range(1, 6))
def test_an_upload_that_breaks_off_is_never_taken_for_whole_and_the_next_one_mends_it(
    step: int, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "run", old="x")
    upload_folder(folder, bucket, of="a")
    (folder / "old").unlink()
    (folder / "results.json").write_text("[1]")
    (folder / "mis" / "asked.jsonl").write_text("1\n2\n")
    before = read_all(folder)
    with monkeypatch.context() as patched:
        Broken(patched, step)
        with pytest.raises(HarnessError, match="the upload failed: ConnectionError: the wire was cut"):
            upload_folder(folder, bucket, of="a")
    assert read_all(folder) == before
    if step == 1:
        assert read_all(fetch_folder(bucket))["results.json"] == "[]"
    else:
        with pytest.raises(HarnessError, match="not whole: an upload is still running or was interrupted"):
            fetch_folder(bucket)
    upload_folder(folder, bucket, of="a")
    assert read_all(fetch_folder(bucket)) == before


def test_a_copy_without_a_manifest_is_refused(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    fsspec.filesystem("memory").rm_file("/bucket/run/manifest.json")
    with pytest.raises(HarnessError, match=r"(?s)no manifest, so this is not known to be a whole copy.*--upload"):
        fetch_folder(bucket)
    with pytest.raises(HarnessError, match="holds files and no manifest"):
        upload_folder(tmp_path / "run", bucket, of="a")


def test_a_copy_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    fsspec.filesystem("memory").pipe_file("/bucket/run/results.json", b"[2")
    with pytest.raises(HarnessError, match=r"results\.json is not what the manifest says"):
        fetch_folder(bucket)


def test_the_copy_of_another_run_is_not_replaced(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    with pytest.raises(HarnessError, match="the copy of another run"):
        upload_folder(make_folder(tmp_path / "other"), bucket, of="b")


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "a\\b", ".hidden", "a//b", ""])
def test_a_manifest_never_leads_out_of_the_folder(name: str, tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    manifest = read_manifest()
    manifest["files"][name] = {"bytes": 1, "sha256": "00"}
    fsspec.filesystem("memory").pipe_file("/bucket/run/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(HarnessError, match="not the manifest of a copy"):
        fetch_folder(bucket)


def put_manifest(change: Any) -> None:
    manifest = read_manifest()
    change(manifest)
    fsspec.filesystem("memory").pipe_file("/bucket/run/manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"whole": "false"}, "`whole` is 'false'"),
        ({"whole": 1}, "`whole` is 1"),
        ({"whole": None}, "`whole` is None"),
        ({"of": ["a"]}, "`of` is"),
        ({"files": []}, "not the manifest of a copy"),
        ({"schema": "harness.manifest/2"}, "schema"),
        ({"files": {"a": {"bytes": 1}}}, "it has no 'sha256'"),
        *(
            ({"files": {"a": {"bytes": size, "sha256": "0" * 64}}}, "a has .* bytes")
            for size in (-1, 1.5, "1", True, None)
        ),
        *(
            ({"files": {"a": {"bytes": 1, "sha256": value}}}, "the sha256 of a is")
            for value in ("00", 0, "G" * 64, "A" * 64, None)
        ),
        ({"files": {name: {"bytes": 1, "sha256": "0" * 64} for name in ("a", "a/b")}}, "'a' as a file and as a folder"),
        ({"files": {MANIFEST: {"bytes": 1, "sha256": "0" * 64}}}, "it names 'manifest.json'"),
        ({"files": {"\ud800": {"bytes": 1, "sha256": "0" * 64}}}, "not the manifest of a copy"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_manifest_is_checked_field_by_field(fields: dict[str, Any], said: str, tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    put_manifest(lambda manifest: manifest.update(fields))
    with pytest.raises(HarnessError, match=said) as caught:
        fetch_folder(bucket)
    assert "is not the manifest of a copy" in str(caught.value)


def test_a_manifest_without_a_bound_is_not_read_to_its_end(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    monkeypatch.setattr(remote, "_LARGEST_MANIFEST", 1_000_000)
    fsspec.filesystem("memory").pipe_file("/bucket/run/manifest.json", b'{"schema": "' + b"x" * 5_000_000)
    with pytest.raises(HarnessError, match="not the manifest of a copy: it has more than 1 MB"):
        fetch_folder(bucket)
    fsspec.filesystem("memory").pipe_file("/bucket/run/manifest.json", b"[" * 900_000)
    with pytest.raises(HarnessError, match="not the manifest of a copy"):
        fetch_folder(bucket)


def test_no_more_of_a_file_is_fetched_than_its_manifest_says(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    fsspec.filesystem("memory").pipe_file("/bucket/run/results.json", b"x" * 5_000_000)
    place: Any = remote._Place(bucket)  # pyright: ignore[reportPrivateUsage]
    place.get("results.json", tmp_path / "got", 2)
    assert (tmp_path / "got").stat().st_size == 3
    with pytest.raises(HarnessError, match=r"results\.json is not what the manifest says"):
        fetch_folder(bucket)


def test_a_copy_that_is_larger_than_the_disk_is_not_begun(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    put_manifest(lambda manifest: manifest["files"]["results.json"].update(bytes=10**18))
    with pytest.raises(HarnessError, match=r"(?s)has 1,000,000,000\.0 GB, and .* GB are free here.*make room"):
        fetch_folder(bucket)


def test_a_reader_keeps_its_state_of_a_copy_while_another_is_uploaded(tmp_path: Path, bucket: str) -> None:
    folder = make_folder(tmp_path / "run")
    upload_folder(folder, bucket, of="a")
    first = fetch_folder(bucket)
    (folder / "results.json").write_text("[1]")
    upload_folder(folder, bucket, of="a")
    second = fetch_folder(bucket)
    assert (read_all(first)["results.json"], read_all(second)["results.json"]) == ("[]", "[1]")


def test_a_file_in_the_cache_that_was_changed_is_fetched_again(tmp_path: Path, bucket: str) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    (fetch_folder(bucket) / "results.json").write_text("{}")
    assert read_all(fetch_folder(bucket))["results.json"] == "[]"


def test_a_pattern_means_all_whole_copies_below_it(tmp_path: Path, bucket: str) -> None:
    for name in ("one", "two"):
        upload_folder(make_folder(tmp_path / name), f"memory://bucket/runs/{name}", of=name)
    assert [path.name for path in fetch_folders("memory://bucket/runs/*")] == ["one", "two"]
    with pytest.raises(HarnessError, match="no copy of a run matches"):
        fetch_folders("memory://bucket/none/*")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nope://bucket/x", "no file system is known for nope://"),
        ("s3://AKIAIOSFODNN7EXAMPLE:abcdefghijklmnop@bucket/x", "must not hold a login or a key"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_no_secret_is_shown(url: str, said: str) -> None:
    with pytest.raises(HarnessError, match=said) as raised:
        remote.check_address(url)
    assert "abcdefghijklmnop" not in str(raised.value)


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(HarnessError, match=r"(?s)s3:// needs a package.*vlm-safety-harness\[fsspec\]"):
        remote.check_address("s3://bucket/x")


def test_paths_of_this_machine_are_no_addresses() -> None:
    assert [is_remote(place) for place in ("runs/a", "C:/x", Path("runs/*"), "s3://b/x", "simplecache::s3://b/x")] == [
        *(False, False, False),
        *(True, True),
    ]


def s3(*words: object) -> Ended:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return harness_here(*words)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A local server that speaks S3 over HTTP."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    running: Any = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address in a new bucket of that server."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    import urllib.request

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing-key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret-of-nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset", method="POST")).close()
    urllib.request.urlopen(urllib.request.Request(f"{server}/bucket", method="PUT")).close()
    return "s3://bucket/runs/base"


def test_a_run_is_uploaded_to_s3_and_read_there_by_each_command(store: str, tmp_path: Path) -> None:
    ended = s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    assert ended.code == 0, ended.err
    assert f"uploaded to {store}: 6 files" in ended.err
    shutil.move(tmp_path / "run", tmp_path / "moved")
    verified = s3("verify", store)
    assert verified.code == 0, verified.err
    report = json.loads(s3("report", store, "--format", "json").out)
    assert "mini/base" in json.dumps(report)
    compared = s3("compare", store, tmp_path / "moved")
    assert compared.code == 0, compared.err
    exported = s3("view", store, "--export", tmp_path / "page")
    assert exported.code == 0, exported.err
    assert "mini/base" in s3("report", "s3://bucket/runs/*").out


def test_gates_plans_lists_and_python_read_a_run_at_an_address(store: str, tmp_path: Path) -> None:
    s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"no_worse_than: [{store}]\n")
    gated = s3("gate", "--allow-subset", store, "--max", "ASR:mis:mini=100")
    assert gated.code == 0, gated.err
    against = s3("gate", "--allow-subset", tmp_path / "run", "--no-worse-than", store, "--margin", 100)
    assert against.code == 0, against.err
    assert s3("gate", "--allow-subset", tmp_path / "run", "--rules", rules, "--margin", 100).code == 0
    assert s3("gate", "--allow-subset", "s3://bucket/runs/*", "--max", "ASR:mis:mini=100").code == 0
    planned = s3("power", "--task", "mis:mini", "--detect", 10, "--against", store)
    assert planned.code == 0, planned.err
    listed = json.loads(s3("runs", "s3://bucket/", "--json").out)
    assert [(run["folder"], run["state"]) for run in listed["runs"]] == [(store, "complete")]
    assert "base" in s3("runs", "s3://bucket/runs").out
    run = harness.load_run(store)
    assert (run.exit_code, len(run.samples())) == (0, 6)
    assert harness.verify_run(store).state == "same"


def test_a_copy_that_is_not_whole_is_a_row_and_shards_are_none(bucket: str, tmp_path: Path) -> None:
    upload_folder(make_folder(tmp_path / "run"), bucket, of="a")
    upload_folder(make_folder(tmp_path / "shard"), f"{bucket}/.shards/0-of-2", of="a")
    upload_folder(make_folder(tmp_path / "torn"), "memory://bucket/deep/torn", of="b")
    fsspec.filesystem("memory").pipe_file("/bucket/deep/torn/mis/asked.jsonl", b"other")
    rows = {run.address: (run.state, run.why) for run in harness.list_runs("memory://bucket")}
    assert set(rows) == {bucket, "memory://bucket/deep/torn"}
    assert "is not what the manifest says" in rows["memory://bucket/deep/torn"][1]
    assert [run.address for run in harness.list_runs("memory://bucket", depth=1)] == [bucket]


def test_judging_at_an_address_is_refused_with_the_commands_that_copy_it_down(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    monkeypatch.chdir(tmp_path)
    refused = s3("judge", store, "--judge", "keyword")
    assert refused.code == 2
    command = refused.err.split("copy it down: ")[1].splitlines()[0]
    subprocess.run(command, shell=True, check=True)
    assert "then: harness judge runs/base" in refused.err
    assert s3("judge", "runs/base", "--judge", "keyword", "--upload", store).code == 0
    with pytest.raises(HarnessError, match="only read"):
        harness.judge_run(store)


def test_judging_later_uploads_what_it_added(store: str, tmp_path: Path) -> None:
    s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    ended = s3("judge", tmp_path / "run", "--judge", "keyword", "--upload", store)
    assert ended.code == 0, ended.err
    assert "3 were there" in ended.err  # the questions, the answers, and the first judge's verdicts
    assert s3("verify", store).code == 0


@pytest.mark.slow
def test_shards_of_machines_that_share_nothing_are_merged_from_s3(store: str, tmp_path: Path) -> None:
    for number in range(3):
        output = ("--output", tmp_path / f"machine{number}" / "base")
        ended = s3("run", *MODEL, *output, "--shard", f"{number}/3", "--upload", store)
        assert ended.code == 0, ended.err
        assert f"uploaded to {store}/.shards/{number}-of-3" in ended.err
    merged = s3("merge", store, "--output", tmp_path / "merged", "--upload", store)
    assert merged.code == 0, merged.err
    again = s3("merge", store, "--output", tmp_path / "merged")
    assert again.code == 0, again.err
    assert s3("verify", store).code == 0
    assert "n 120 ·" in s3("merge", store, "--output", tmp_path / "elsewhere").out
    refused = s3("merge", store, "--output", tmp_path / "machine0" / "base")
    assert refused.code == 2
    assert "made here, so it is not replaced" in refused.err


def test_a_bucket_that_is_not_there_ends_the_run_before_anything_is_asked(store: str, tmp_path: Path) -> None:
    ended = s3("run", *MODEL, "--output", tmp_path / "run", "--upload", "s3://no-such-bucket/run")
    assert ended.code == 2, ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_upload_that_fails_at_the_end_leaves_the_run_and_ends_with_2(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        Broken(patched, 3)
        ended = s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    assert ended.code == 2
    assert f"the run itself is whole in {tmp_path / 'run'}" in ended.err
    assert "mis:mini  mini/base" in ended.out
    assert "secret-of-nobody" not in ended.err
    assert harness_here("verify", tmp_path / "run").code == 0
    mended = s3("run", *MODEL, "--limit", 6, "--output", tmp_path / "run", "--upload", store)
    assert mended.code == 0, mended.err
    assert s3("verify", store).code == 0


def test_merging_an_address_needs_a_folder_here(tmp_path: Path) -> None:
    assert "give --output FOLDER" in harness_here("merge", "memory://bucket/run").err
    assert "merged where they lie" in harness_here("merge", tmp_path, "--output", tmp_path).err


def test_addresses_are_joined_by_slashes() -> None:
    assert join_address("s3://b/x/", ".shards", "0-of-2") == "s3://b/x/.shards/0-of-2"


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("memory://", "memory://a/b"),
        ("file:///", "file:///a/b"),
        ("s3://lab/", "s3://lab/a/b"),
        ("s3://lab", "s3://lab/a/b"),
    ],
)
def test_an_address_below_the_root_of_a_store_stays_an_address(url: str, below: str) -> None:
    assert join_address(url, "a", "b") == below
    assert is_remote(below)


def test_copies_are_listed_by_addresses_that_can_be_opened_also_from_the_root_of_a_store() -> None:
    manifest = {"schema": "harness.manifest/1", "whole": True, "of": "x", "files": {}}
    fsspec.filesystem("memory").pipe_file("/rooted/manifest.json", json.dumps(manifest).encode())
    listed = list_addresses("memory://", 1)
    assert "memory://rooted" in listed
    assert fetch_folder("memory://rooted").is_dir()
