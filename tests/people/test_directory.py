"""A directory of people: what is read of a file, and what is refused, with line and column."""

import os
import random
import unicodedata
from datetime import date, timedelta
from pathlib import Path

import pytest

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import (
    Directory,
    Membership,
    Unit,
    directory_of,
    read_directory,
)
from session_pipeline_dagster.people.groups import ROOT
from session_pipeline_dagster.people.rows import DirectoryError, Row

HEAD = "folder,person,email,team,cost_center,from,to,parent\n"
MOVES = """folder,person,email,team,cost_center,from,to
alice,Alice,Alice@Example.ORG,data,CC1,,2026-05-10
alice,Alice,alice@example.org,platform,CC2,2026-05-11,
ci-alice,Alice,,platform,,,
"""


def csv(tmp_path: Path, text: str | bytes, name: str = "people.csv") -> Directory:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_directory(path)


def test_folders_are_a_persons_on_their_days_and_a_team_has_its_cost_center(tmp_path) -> None:
    found = csv(tmp_path, MOVES)
    assert [
        (m.folder, m.person, m.email, m.team, m.cost_center, m.valid_from, m.valid_to, m.line)
        for m in found.memberships
    ] == [
        ("alice", "Alice", "alice@example.org", "data", "CC1", None, date(2026, 5, 10), 2),
        ("alice", "Alice", "alice@example.org", "platform", "CC2", date(2026, 5, 11), None, 3),
        ("ci-alice", "Alice", None, "platform", "CC2", None, None, 4),
    ]
    assert found.units == (Unit("data", ROOT, "CC1"), Unit("platform", ROOT, "CC2"))


@pytest.mark.parametrize("spelt", ["people.yaml", "people.YML"])
def test_yaml_says_the_same_and_guesses_nothing(tmp_path, spelt: str) -> None:
    text = """# who is who
- folder: alice
  person: Alice
  email: Alice@Example.ORG
  team: data
  cost_center: CC1
  to: 2026-05-10
- {folder: alice, person: Alice, email: alice@example.org, team: platform, from: 2026-05-11}
- folder: ci-alice
  person: "Alice"
  team: platform
  cost_center: CC2
  from: ~
  to: null
"""
    of_csv = csv(tmp_path, MOVES)
    of_yaml = csv(tmp_path, text, spelt)
    plain = [{f: getattr(m, f) for f in Membership.__slots__ if f != "line"} for m in
             of_yaml.memberships]  # fmt: skip
    assert plain == [
        {f: getattr(m, f) for f in Membership.__slots__ if f != "line"} for m in of_csv.memberships
    ]
    assert of_yaml.units == of_csv.units
    odd = csv(tmp_path, "- {folder: 0123, person: no, team: 1e3, from: '2026-01-01'}", spelt)
    (one,) = odd.memberships
    assert (one.folder, one.person, one.team) == ("0123", "no", "1e3")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbffolder,team\r\nann,web\r\n\r\n",
        b"Folder;Team;\nann;web;\n;;\n",
        b"team\tfolder\nweb\tann",
        b'"folder","team"\r"ann","web"\r',
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, text: bytes) -> None:
    (one,) = csv(tmp_path, text).memberships
    assert (one.folder, one.person, one.team) == ("ann", "ann", "web")


def test_a_value_may_hold_commas_quotes_and_unknown_columns_are_kept(tmp_path) -> None:
    text = 'folder,Person,Site,E-Mail\n"a,b","O""Neil, Pat",Berlin,P@X.org\n'
    (one,) = csv(tmp_path, text).memberships
    assert (one.folder, one.person, one.email) == ("a,b", 'O"Neil, Pat', "p@x.org")
    assert one.attributes == {"site": "Berlin"}


def test_folders_compare_exactly_and_names_as_they_look(tmp_path) -> None:
    nfd = unicodedata.normalize("NFD", "renée")
    team = unicodedata.normalize("NFD", "café")
    text = f"folder,person,team\n{nfd},{nfd},café\nrenée,renée,{team}\n"
    one, other = csv(tmp_path, text).memberships
    assert (one.folder, other.folder) == (nfd, "renée")
    assert one.person == other.person == "renée"
    assert one.team == other.team == "café"
    assert [m.folder for m in csv(tmp_path, "folder\nCarol\ncarol\ncarol@x.org\n").memberships] == [
        "Carol", "carol", "carol@x.org"
    ]  # fmt: skip


def test_a_folder_may_be_called_anything_and_long_ones_as_they_are_stored(tmp_path) -> None:
    names = ["=cmd()", "'; DROP TABLE people;--", "a\u200db", "x" * 300, "[1m", "NULL"]
    found = csv(tmp_path, "folder\n" + "".join(f"{name}\n" for name in names))
    kept = [m.folder for m in found.memberships]
    assert kept[:3] == names[:3]
    assert len(kept[3]) == 200
    assert kept[4:] == names[4:]


@pytest.mark.parametrize(
    ("rows", "line", "column", "said"),
    [
        ("ann,,,web,,,,\n,Bob,,web,,,,", 3, "folder", "folder is missing"),
        ("ann,,,,,2026-13-01,,", 2, "from", "no day; it takes one such as 2026-10-31"),
        ("ann,,,,,20260501,,", 2, "from", "no day"),
        ("ann,,,,,,31.12.2026,", 2, "to", "no day"),
        ("ann,,,,,2026-05-02,2026-05-01,", 2, "to", "before from, 2026-05-02"),
        ("ann,,,,,,2026-05-10,\nann,,,,,2026-05-10,,", 3, "from", "already, line 2"),
        ("ann,,,,,2026-06-01,,\nbob,,,,,,,\nann,,,,,,,", 4, "from", "already, line 2"),
        ("ann,,annexample.org,,,,,", 2, "email", "no address"),
        ("ann,Ann,A@x.org,,,,,\nbob,Bob,a@X.org,,,,,", 3, "email", '"Ann" in line 2'),
        ("a,Ann,a@x.org,,,,,\nb,Ann,b@x.org,,,,,", 3, "email", "give them two names"),
        ("ann,,,(org),,,,", 2, "team", "(org) is what others are called"),
        ("ann,,,(unassigned),,,,", 2, "team", "(unassigned) is what others are called"),
        ("ann,,,,CC,,,", 2, "team", "cost_center is of a team"),
        ("ann,,,,,,,eng", 2, "team", "parent is of a team"),
        ("ann,,,web,C1,,,\nbob,,,web,C2,,,", 3, "cost_center", '"C2" here and "C1" in line 2'),
        ("ann,,,web,,,,eng\nbob,,,web,,,,ops", 3, "parent", '"ops" here and "eng" in line 2'),
        ("ann,,,web,,,,web", 2, "parent", 'above itself: "web" is below "web"'),
        ("a,,,x,,,,y\nb,,,y,,,,z\nc,,,z,,,,x\nd,,,w,,,,x", 4, "parent", "above itself"),
        ("ann,A\x1b[2J,,,,,,", 2, "person", "characters that do not show"),
        ("ann,\u202eAnn,,,,,,", 2, "person", "characters that do not show"),
        (f"ann,,,{'w' * 201},,,,", 2, "team", "longer than 200"),
        ('ann,"two\nlines",,,,,,\n', 2, "person", "characters that do not show"),
        ("ann,,,,,,,,,", 2, "", "the line has 10 values, the first line 8 columns"),
        ('ann,"open,,,,,\nbob,,,', 2, "", "a quote may be open"),
    ],
)
def test_an_error_names_file_line_and_column(
    tmp_path, rows: str, line: int, column: str, said: str
) -> None:
    with pytest.raises(DirectoryError) as error:
        csv(tmp_path, HEAD + rows)
    where = f", column {column}" if column else ""
    assert str(error.value).startswith(f"{tmp_path}/people.csv:{line}{where}: ")
    assert said in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 300
    assert isinstance(error.value, SettingsError)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "the file is empty"),
        (b"person,team\nAnn,web\n", 1, "there is no column folder"),
        (b"folder,team,Team\nann,a,b\n", 1, "two columns of this name"),
        (b"folder,\nann,web\n", 2, "a column without a name"),
        (b"folder\nann\nbob\xff\n", 3, "not UTF-8"),
        ("folder\nann\n".encode("utf-16"), 1, "not UTF-8"),
        (b"folder\n" + b"x" * 200_000, 2, "this is not CSV"),
    ],
)
def test_what_is_no_such_file_is_said(tmp_path, content: bytes, line: int, said: str) -> None:
    with pytest.raises(DirectoryError, match=said) as error:
        csv(tmp_path, content)
    assert error.value.line == line


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, "", "it takes a list of people"),
        ("people:\n- folder: a\n", 1, "", "it takes a list of people"),
        ("- folder: a\n- bob\n", 2, "", "it takes a list of people"),
        ("- folder: a\n  team: [x]\n", 2, "team", "it takes text here"),
        ("- folder: a\n  team: web\n  team: ops\n", 3, "team", "two values of this name"),
        ("- folder: a\n- &x {folder: b}\n- *x\n", 3, "", "it takes a list of people"),
        ("- folder: a\n  to: 2026-02-30\n", 2, "to", "no day"),
        ("- {folder: a}\n- {folder: a}\n", 2, "from", "already, line 1"),
        ("- {folder: a}\n---\n- {folder: b}\n", 2, "", "a second document"),
        ("- folder: a\n  team: 'web\n", 3, "", "this is not YAML"),
        ("- folder: \x07\n", 1, "", "this is not YAML"),
        ("[" * 5000, 1, "", "it takes a list of people"),
    ],
)
def test_an_error_in_yaml_names_line_and_column(
    tmp_path, text: str, line: int, column: str, said: str
) -> None:
    with pytest.raises(DirectoryError, match=said) as error:
        csv(tmp_path, text, "people.yaml")
    assert (error.value.line, error.value.column) == (line, column)


def test_periods_in_one_line_of_yaml_overlap_too(tmp_path) -> None:
    with pytest.raises(DirectoryError, match="already"):
        csv(tmp_path, "[{folder: a}, {folder: a}]", "people.yaml")


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    with pytest.raises(DirectoryError, match="the file is not there"):
        read_directory(tmp_path / "none.csv")
    with pytest.raises(DirectoryError, match="the file is a directory"):
        read_directory(tmp_path)


@pytest.mark.parametrize("name", ["people.csv", "people.yaml"])
def test_a_pipe_is_said_and_not_waited_for(tmp_path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    for path in (tmp_path / name, Path("/dev/zero")):
        with pytest.raises(DirectoryError, match="the file is a pipe or a device"):
            read_directory(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("people.csv", "folder,person\n"), ("people.csv", "folder\n\n,\n"), ("people.yaml", "[]")],
)
def test_a_file_that_was_emptied_is_no_directory(tmp_path, name: str, text: str) -> None:
    with pytest.raises(DirectoryError, match=f"{name}:1: the file names nobody"):
        csv(tmp_path, text, name)


def test_a_person_may_change_address_but_not_have_two_at_once(tmp_path) -> None:
    found = csv(tmp_path, HEAD + "a,Ann,ann@x.org,,,,2026-05-01,\na,Ann,ann@y.org,,,2026-05-02,,")
    assert [m.email for m in found.memberships] == ["ann@x.org", "ann@y.org"]


def test_a_team_without_members_is_known_as_a_parent(tmp_path) -> None:
    found = csv(tmp_path, HEAD + "a,,,web,,,,eng\nb,,,eng,C0,,,(org)\nc,,,ops,,,,board")
    assert found.units == (
        Unit("board"), Unit("eng", ROOT, "C0"), Unit("ops", "board"), Unit("web", "eng")
    )  # fmt: skip


def refused(rows: list[Row]) -> bool:
    try:
        directory_of(rows)
    except DirectoryError:
        return True
    return False


def test_a_line_is_counted_over_values_of_several_lines(tmp_path) -> None:
    text = 'folder,from,note\nann,,"two\nlines"\n\nbob,May,\n'
    with pytest.raises(DirectoryError) as error:
        csv(tmp_path, text)
    assert (error.value.line, error.value.column) == (5, "from")


@pytest.mark.parametrize("seed", range(10))
def test_overlaps_are_found_wherever_they_are(seed: int) -> None:
    """Against every pair, in an order that says nothing."""
    rng, start = random.Random(seed), date(2026, 1, 1)  # noqa: S311  made-up periods
    for _ in range(50):
        rows, days = [], []
        for line in range(2, rng.randint(3, 6)):
            first = rng.choice([None, start + timedelta(rng.randint(0, 12))])
            begin = (first or start - timedelta(1)) + timedelta(rng.randint(0, 4))
            last = rng.choice([None, begin])
            values = {"folder": rng.choice("ab"), "from": first, "to": last}
            given = {name: str(value) for name, value in values.items() if value}
            mail = rng.choice(["a@x", "b@x"])
            rows.append(Row("f", line, {**given, "person": "P", "email": mail}))
            days.append((given["folder"], first or date.min, last or date.max, mail))
        clash = any(
            (one[0] == other[0] or one[3] != other[3]) and one[1] <= other[2] and other[1] <= one[2]
            for place, one in enumerate(days)
            for other in days[:place]
        )
        assert refused(rows) is clash, rows


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize(
    "values",
    [
        lambda i: f"f{i},P{i},p{i}@x.org,t{i % 500},C{i % 500},,,u{i % 500 % 7}",
        lambda i: f"f,P,,t,,{date(1, 1, 1) + timedelta(i)},{date(1, 1, 1) + timedelta(i)},",
        lambda i: (
            f"f{i},P,p{i}@x.org,,,{date(1, 1, 1) + timedelta(i)},{date(1, 1, 1) + timedelta(i)},"
        ),
        lambda i: f"f{i},,,t{i},,,,t{i + 1}",
    ],
    ids=["plain", "one_folder", "one_person", "one_chain"],
)
def test_a_directory_of_many_rows_is_read_in_linear_time(tmp_path, values) -> None:
    """Quadratic would be minutes, by what is compared with what."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + "".join(f"{values(i)}\n" for i in range(20_000)))
    assert len(read_directory(path).memberships) == 20_000
