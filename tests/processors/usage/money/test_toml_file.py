"""What a TOML file of the user says, and the line that each error names."""

import os
import pickle
import re
import tomllib
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money import toml_file

AWKWARD = b'''# a comment with [[price]]
title = """a
[[price]] " # not a comment ""\\""""
[[price]] # the first
model = "a#[b" # ["
"fr\\u006fm" = 2026-01-01
nested.name = [1, # ]
 2, "]"]
z.'q.r' = \'\'\'it is 'so\'\'\'\'

[region]
aws = 'regio"nal'
[[price]]
input = 1.50
[price.sub]
k = 1
[deep.er]
c = 3
  [[ discount ]]
'''


def section(text: str) -> toml_file.Section:
    return toml_file.parse("prices.toml", f"[region]\n{text}".encode()).tables["region"]


def error_of(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(toml_file.FileError) as raised:
        toml_file.parse("prices.toml", content)
    return str(raised.value)


def test_lines_are_those_of_headers_and_keys_whatever_strings_and_comments_hold() -> None:
    document = toml_file.parse("p.toml", AWKWARD)

    first, second = document.arrays["price"]
    assert (first.line, first.lines) == (4, {"model": 5, "from": 6, "nested": 7, "z": 9})
    assert (second.line, second.lines) == (13, {"input": 14, "sub": 15})
    assert document.tables["region"].line == 11
    assert document.tables["deep"].lines == {"er": 17}
    assert document.arrays["discount"][0].line == 19
    assert document.top.lines == {
        "title": 2, "price": 4, "region": 11, "deep": 17, "discount": 19,
    }  # fmt: skip


def test_sections_of_an_inline_array_stand_on_the_line_of_the_array() -> None:
    document = toml_file.parse("p.toml", b"\n\nprice = [\n {model = 1},\n {model = 2},\n]\n")

    assert [one.line_of("model") for one in document.arrays["price"]] == [3, 3]


def test_lines_are_counted_the_same_with_carriage_returns_and_a_byte_order_mark() -> None:
    document = toml_file.parse("p.toml", b"\xef\xbb\xbf\r\n[[price]]\r\nmodel = 'a'\r\n")

    (price,) = document.arrays["price"]
    assert (price.line, price.lines) == (2, {"model": 3})


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.sampled_from("a .#[]='é{"), min_size=1, max_size=6).map(lambda key: f'"{key}"'),
    st.text(st.sampled_from('a .#[]="é{\\'), min_size=1, max_size=6).map(lambda key: f"'{key}'"),
)
VALUES = st.sampled_from(
    [
        "1",
        "1.5",
        '"# [[x]] ="',
        "'# \\'",
        '"\\""',
        '"\\\\"',
        '""',
        "''",
        '"""\n[[x]]\na = 1 # """',
        '"""""a"""""',
        '"""\\"""" # x',
        "'''\n[x]\n''''",
        "''''''",
        "[1, # ]\n [2,\n'''\n]''', \"]\"]]",
        '{a = "}", "b" = [\n1] }',
        "2026-01-01 # day",
        "2026-01-01 10:00:00",
        "[]",
    ]
)


@pytest.mark.slow
@given(st.lists(st.tuples(st.lists(st.tuples(KEYS, VALUES), max_size=5)), max_size=4))
def test_every_key_stands_on_the_line_that_is_told(
    sections: list[tuple[list[tuple[str, str]]]],
) -> None:
    text, expected = "", []
    for ((keys),) in sections:
        header, lines, names = text.count("\n") + 1, {}, set()
        text += "[[price]] # [ '\n"
        for key, value in keys:
            (name,) = tomllib.loads(f"{key} = 0")
            if name not in names:
                names.add(name)
                lines[name] = text.count("\n") + 1
                text += f"{key} = {value}\n"
        expected.append((header, lines))

    document = toml_file.parse("p.toml", text.encode())

    assert [(one.line, one.lines) for one in document.arrays.get("price", ())] == expected


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")

    assert toml_file.read(path).digest == sha256(path.read_bytes()).hexdigest()[:8]
    assert toml_file.read(path).name == str(path)


def test_a_file_that_cannot_be_read_is_said_in_the_same_shape(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path, what in (
        (tmp_path / "pipe.toml", "the file is a pipe or a device; name a TOML file that can be"),
        (tmp_path / "none.toml", "the file is not there; name a TOML file that can be read"),
        (tmp_path, "the file is a directory; name a TOML file that can be read"),
        (tmp_path / ("x" * 300), "the file cannot be read; name a TOML file that can be read"),
        (Path("a\0b"), "the file cannot be read; name a TOML file that can be read"),
    ):
        with pytest.raises(SettingsError, match=re.escape(f"{path}:1: {what}")):
            toml_file.read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\nb = \n", "prices.toml:2: this is not TOML: Invalid value"),
        (b"a = 1\n\na = 2\n", "prices.toml:3: this is not TOML: Cannot overwrite a value"),
        (b"[[x]]\n\n'''", "prices.toml:3: this is not TOML: "),
        (b"a = 1\nb = '''\n", "prices.toml:2: this is not TOML: Expected \"'''\""),
        (b"\n\xff = 1", "prices.toml:2: the file is not UTF-8; save it as UTF-8"),
        (b"a = " + b"[" * 9000, "prices.toml:1: this is not TOML: it cannot be parsed"),
        (b"a = " + b"1" * 9000, "prices.toml:1: this is not TOML: it cannot be parsed"),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(content: bytes, said: str) -> None:
    assert error_of(content).startswith(said)


def test_an_error_is_the_same_in_another_process() -> None:
    error = toml_file.FileError("prices.toml", 12, "percent is 120; it takes 0 to 100")

    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(again) == str(error) == "prices.toml:12: percent is 120; it takes 0 to 100"
    assert (again.file, again.line, again.what) == (error.file, error.line, error.what)


def test_numbers_are_exactly_as_written() -> None:
    one = section("a = 0.1\nb = 3\nc = 1_000.000_000_1\nd = -0.0\ne = 1e-3\nf = [80, 99.5]")

    assert one.number("a") == Decimal("0.1")
    assert one.number("b") == Decimal(3)
    assert one.number("c") == Decimal("1000.0000001")
    assert str(one.number("d")) == "0.0"
    assert one.number("e") == Decimal("0.001")
    assert one.numbers("f") == (Decimal(80), Decimal("99.5"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("true", "true"),
        ("nan", "NaN"),
        ("inf", "Infinity"),
        ("-1", "-1"),
        ("-0.5", "-0.5"),
        ('"3"', '"3"'),
        ("[1]", "a list"),
        ("{a = 1}", "a table"),
        ("1e99999999999999999999", "NaN"),
        ("2026-01-01", "2026-01-01"),
        (f'"{"x" * 50}"', f'"{"x" * 39}…"'),
        ('"a\\u0000\\n"', '"a??"'),
    ],
)
def test_what_is_no_number_is_refused_with_its_line(value: str, shown: str) -> None:
    one = section(f"\na = {value}\nb = [1, {value}]")

    with pytest.raises(toml_file.FileError) as raised:
        one.number("a")
    assert str(raised.value) == f"prices.toml:3: a is {shown}; it takes a number from 0"
    with pytest.raises(toml_file.FileError) as raised:
        one.numbers("b")
    assert str(raised.value) == f"prices.toml:4: b is {shown}; it takes a number from 0"


def test_a_day_is_a_date_or_its_text() -> None:
    one = section('a = 2026-10-31\nb = "2026-10-31"')

    assert one.day("a") == one.day("b") == date(2026, 10, 31)
    assert one.day("c") is None


@pytest.mark.parametrize(
    "value", ["2026-10-31 10:00:00", "2026-10-31T00:00:00Z", '"20261031"', '"2026-02-30"', "1"]
)
def test_what_is_no_day_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(toml_file.FileError, match=r"^prices.toml:2: a is .*; it takes a day such"):
        section(f"a = {value}").day("a")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1", "a is 1; it takes text in quotes"),
        ('" "', 'a is " "; it takes one line of text'),
        ('"a\\nb"', 'a is "a?b"; it takes one line of text'),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(value: str, said: str) -> None:
    with pytest.raises(toml_file.FileError) as raised:
        section(f"a = {value}").text("a")
    assert str(raised.value) == f"prices.toml:2: {said}"


def test_a_key_that_is_missing_names_the_line_of_its_section() -> None:
    with pytest.raises(toml_file.FileError) as raised:
        section("b = 1").text("a")
    assert str(raised.value) == "prices.toml:1: a is missing"


def test_one_of_names_what_it_takes() -> None:
    one = section('a = "global"\nb = "globl"\nc = []')

    assert one.one_of("a", ("regional", "global")) == "global"
    for key, line, shown in (("b", 3, '"globl"'), ("c", 4, "a list")):
        with pytest.raises(toml_file.FileError) as raised:
            one.one_of(key, ("regional", "global"))
        said = f"prices.toml:{line}: {key} is {shown}; it takes regional or global"
        assert str(raised.value) == said


def test_an_unknown_key_is_an_error_that_names_its_line_and_the_one_that_was_meant() -> None:
    one = section("aws = 1\ninptu = 1")

    one.only("aws", "inptu")
    with pytest.raises(toml_file.FileError) as raised:
        one.only("aws", "input", "output")
    assert str(raised.value) == 'prices.toml:3: "inptu" is not known here; is input meant?'
    with pytest.raises(toml_file.FileError) as raised:
        one.only("inptu", "google", "model")
    assert str(raised.value) == (
        'prices.toml:2: "aws" is not known here; it takes inptu, google or model'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[prices]]\n", '2: "prices" is not known here; is price meant?'),
        ("[price]\n", "2: write [[price]] in two brackets, once for each"),
        ("price = 1\n", "2: write [[price]] in two brackets, once for each"),
        ("price = [1]\n", "2: write [[price]] in two brackets, once for each"),
        ("[[lock]]\n", "2: write [lock] in one bracket, once"),
        ("lock = 2026-01-01\n", "2: write [lock] in one bracket, once"),
    ],
)
def test_a_section_that_is_unknown_or_written_the_other_way_is_refused(
    text: str, said: str
) -> None:
    document = toml_file.parse("prices.toml", f"\n{text}".encode())

    with pytest.raises(toml_file.FileError) as raised:
        document.only(arrays=("price",), tables=("lock",))
    assert str(raised.value) == f"prices.toml:{said}"


def test_sections_that_are_known_pass() -> None:
    document = toml_file.parse("prices.toml", b"[[price]]\n[lock]\nuntil = 2026-01-01\n")

    document.only(arrays=("price", "discount"), tables=("lock",))
