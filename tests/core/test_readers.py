"""Records are read field by field; what is wrong is named by file, record number and field."""

import json
from pathlib import Path

import pytest

from harness.errors import BadData, HarnessError, MissingData
from harness.readers import Row, distinct, document, open_files, prompt, rows, together
from harness.types import Image, Text


def read(tmp_path: Path, text: str | bytes, name: str = "data.json") -> tuple[Row, ...]:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return rows(open_files(tmp_path), name)


def wrong(tmp_path: Path, text: str | bytes, name: str = "data.json") -> HarnessError:
    with pytest.raises(BadData) as caught:
        read(tmp_path, text, name)
    return caught.value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"q": "one"}, {"q": "two"}]'),
        ("a.json", '{"q": "one"}\n\n{"q": "two"}\n'),
        ("a.jsonl", '{"q": "one"}\n{"q": "two"}'),
        ("a.csv", 'q,other\none,1\n"two",2\n'),
        ("a.tsv", "q\tother\none\t1\ntwo\t2\n"),
        ("a.json", '\ufeff[{"q": "one"}, {"q": "two"}]'),
        ("a.csv", "\ufeffq\none\ntwo\n"),
    ],
)
def test_a_json_list_json_lines_and_a_table_give_the_same_records(tmp_path: Path, name: str, text: str) -> None:
    found = read(tmp_path, text, name)
    assert [row.text("q") for row in found] == ["one", "two"]
    assert [row.place for row in found] == [f"{name}, record 1", f"{name}, record 2"]


def test_the_first_file_that_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "combine.json").write_text('{"chat": []}')
    assert document(open_files(tmp_path), "combined.json", "combine.json").place == "combine.json"


@pytest.mark.parametrize(
    ("name", "matched"),
    [
        ("*.json", ["top.json"]),
        ("**/*.json", ["in/deep/low.json", "in/mid.json", "top.json"]),
        ("in/**", ["in/deep/low.json", "in/mid.json"]),  # from here on Python 3.13 and those before it differ
        ("**", ["in/deep/low.json", "in/mid.json", "top.json"]),
        ("t**.json", ["top.json"]),
        ("in/m***", ["in/mid.json"]),
    ],
)
def test_a_name_with_stars_matches_the_same_files_on_every_python(
    tmp_path: Path, name: str, matched: list[str]
) -> None:
    for place in ("top.json", "in/mid.json", "in/deep/low.json"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("[]")
    assert list(open_files(tmp_path).matching(name)) == matched


def test_a_name_with_stars_that_leads_out_of_the_root_matches_nothing(tmp_path: Path) -> None:
    for place in ("root/in.json", "out.json"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("[]")
    files = open_files(tmp_path / "root")
    for name in ("../*.json", f"{tmp_path}/*.json", f"{tmp_path}/root/*.json"):
        assert files.matching(name) == ()
        with pytest.raises(BadData, match="stay under the data root"):
            rows(files, name)
        with pytest.raises(MissingData, match="is not there"):
            rows(files, name.replace("json", "parquet"))


def test_records_are_read_out_of_an_archive_too(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr("top/data.json", '[{"q": "one"}]')
    assert rows(open_files(tmp_path), "data.json")[0].text("q") == "one"


def test_a_file_that_is_not_there_is_missing_data_with_every_name_it_may_have(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"a\.json or b\.json is not there") as caught:
        rows(open_files(tmp_path), "a.json", "b.json")
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ('[{"q": 1},\n {"q" 2}]', "not JSON", "data.json, line 2, column 7"),
        ("", "not JSON", "data.json, line 1, column 1"),
        ("<html>rate limited</html>", "not JSON", "data.json, line 1, column 1"),
        ('"text"', "the file is text, not a list", "data.json"),
        ("null", "the file is null, not a list", "data.json"),
        ('{\n  "chat": []\n}', "the file is an object, not a list", "data.json"),
        ('[{"q": "a"}, "b"]', "the record is text, not an object", "data.json, record 2"),
        ('[{"q": "a"}, null]', "the record is null, not an object", "data.json, record 2"),
        ('{"q": "a"}\n{"q": "b"', "not JSON", "data.json, line 2, column 10"),
        ('{"q": "a"}\n' + "[" * 100_000, "not JSON", "data.json, line 2"),
        (b'[{"q": "\xff"}]', "not UTF-8 at byte 8", "data.json"),
        ("[" * 100_000, "not JSON", "data.json"),
        ('[{"q": "a"},\n {"q": "b", "n": {"q": 1, "q": 1}}]', "the key 'q' stands twice", "data.json, record 2"),
        ('{"q": "a"}\n{"q": "b", "a": 1, "q": "c"}', "the key 'q' stands twice", "data.json, line 2"),
        ('{"q": "a", "q": "b"}', "the key 'q' stands twice", "data.json, line 1"),
        ("[" + "9" * 5000 + "]", "not JSON", "data.json"),
    ],
)
def test_a_file_that_holds_no_records_is_named_with_the_place(
    tmp_path: Path, text: str | bytes, what: str, where: str
) -> None:
    error = wrong(tmp_path, text)
    assert what in error.what
    assert error.where == where


def test_a_table_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    assert wrong(tmp_path, 'q\n"' + "x" * 200_000, "a.csv").where == "a.csv, line 2"


def test_a_document_that_has_a_key_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"one": {"key": 1, "key": 2}}')
    with pytest.raises(BadData, match="the key 'key' stands twice in one object") as caught:
        document(open_files(tmp_path), "a.json")
    assert caught.value.where == "a.json"


@pytest.mark.parametrize("apart", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line_of_json_lines(tmp_path: Path, apart: str) -> None:
    lines = [json.dumps({"q": f"one{apart}two{number}"}, ensure_ascii=False) for number in (1, 2)]
    (tmp_path / "data.jsonl").write_bytes("\r\n".join(lines).encode())
    found = rows(open_files(tmp_path), "data.jsonl")
    assert [row.text("q") for row in found] == [f"one{apart}two1", f"one{apart}two2"]


def test_a_document_that_is_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(BadData, match="the file is a list, not an object"):
        document(open_files(tmp_path), "a.json")


def row(**values: object) -> Row:
    return Row(values=values, place="data.json, record 7")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({}, "field 'q' is missing"),
        ({"q": None}, "field 'q' is missing"),
        ({"q": 3}, "field 'q' is a number, not text"),
        ({"q": ["a"]}, "field 'q' is a list, not text"),
        ({"q": {"a": 1}}, "field 'q' is an object, not text"),
        ({"q": True}, "field 'q' is true or false, not text"),
        ({"q": "  "}, "field 'q' is blank"),
    ],
)
def test_a_text_that_is_none_is_named_by_record_and_field(values: dict[str, object], what: str) -> None:
    with pytest.raises(BadData) as caught:
        row(**values).text("q")
    assert (caught.value.what, caught.value.where) == (what, "data.json, record 7, field q")


def test_the_first_of_several_names_is_taken_and_all_are_named_when_none_is_there() -> None:
    assert row(b="two", c="three").text("a", "b", "c") == "two"
    with pytest.raises(BadData, match="field 'a or b' is missing"):
        row().text("a", "b")


def test_a_default_stands_for_a_missing_or_blank_text_and_not_for_a_wrong_one() -> None:
    assert [row().text("q", default=""), row(q="").text("q", default="x"), row(q="a").text("q", default="x")] == [
        "",
        "x",
        "a",
    ]
    with pytest.raises(BadData, match="is a list"):
        row(q=[]).text("q", default="x")


def test_a_text_that_must_be_one_of_a_few_is_read_in_their_spelling_and_any_other_is_refused() -> None:
    areas = ("National Safety", "SSU")
    assert [row(q=text).choice("q", areas) for text in ("national  safety ", "ssu")] == ["National Safety", "SSU"]
    with pytest.raises(BadData, match="'UUU' is not one of National Safety, SSU") as caught:
        row(q="UUU").choice("q", areas)
    assert caught.value.where == "data.json, record 7, field q"


def test_a_key_may_be_a_whole_number_or_a_text() -> None:
    assert (row(id=12).key("id"), row(id="12b").key("id"), row().key("id", default="0")) == ("12", "12b", "0")
    with pytest.raises(BadData, match="is true or false"):
        row(id=True).key("id")
    with pytest.raises(BadData, match="is a number, not text"):
        row(id=1.5).key("id")


def test_a_list_of_texts_may_be_a_single_text() -> None:
    assert row(q=["a", "b"]).texts("q") == ("a", "b")
    assert row(q="a").texts("q") == ("a",)
    with pytest.raises(BadData, match=r"field 'q\[1\]' is a number, not text"):
        row(q=["a", 1]).texts("q")


def test_a_list_of_keys_may_hold_numbers_and_texts() -> None:
    assert row(q=[1, "b"]).keys("q") == ("1", "b")
    with pytest.raises(BadData, match=r"field 'q\[0\]' is true or false"):
        row(q=[True]).keys("q")
    with pytest.raises(BadData, match="field 'q' is missing"):
        row().keys("q")


def test_records_within_a_record_say_where_they_stand() -> None:
    inner = row(chat=[{"q": "a"}, {"q": 1}]).rows("chat")
    assert inner[0].text("q") == "a"
    with pytest.raises(BadData) as caught:
        inner[1].text("q")
    assert caught.value.where == "data.json, record 7, chat, record 2, field q"
    with pytest.raises(BadData, match="field 'chat' is missing"):
        row().rows("chat")


def test_an_object_is_a_record_of_its_own_that_says_where_it_stands() -> None:
    inner = row(options={"A": "a", "B": 2}).part("options")
    assert inner.text("A") == "a"
    with pytest.raises(BadData) as caught:
        inner.text("B")
    assert caught.value.where == "data.json, record 7, options, field B"
    with pytest.raises(BadData, match="field 'options' is a list, not an object"):
        row(options=["a"]).part("options")


def test_a_flag_is_true_or_false_and_nothing_that_only_looks_so() -> None:
    assert (row(safe=True).flag("safe"), row(safe=False).flag("safe")) == (True, False)
    for value, what in ((1, "is a number"), ("false", "is text"), (None, "is missing")):
        with pytest.raises(BadData, match=f"field 'safe' {what}"):
            row(safe=value).flag("safe")


def test_a_prompt_keeps_the_order_of_its_parts(tmp_path: Path) -> None:
    image = open_files(tmp_path).image("a.png")
    request = prompt(image, "What is it?", image)
    assert [type(part) for part in request.messages[0].content] == [Image, Text, Image]
    assert request.messages[0].role == "user"


def test_items_of_one_key_come_together_in_the_order_of_their_first() -> None:
    assert "".join(together("abcabcz", key=str)) == "aabbccz"


def test_repeated_ids_become_distinct_and_the_others_stay() -> None:
    assert distinct(["1", "2", "1", "1-2", "1"]) == ["1", "2", "1-2", "1-2-2", "1-3"]
