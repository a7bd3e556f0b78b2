"""Exports of GitHub, SCIM and LDAP as directories: what is taken, what is decided and told."""

import base64
import json
from pathlib import Path

import pytest

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import read_directory
from session_pipeline_dagster.people.imports import Imported, github_teams, ldif, scim

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "export"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode())
    return path


def rows(tmp_path: Path, made: Imported) -> list[tuple[str, ...]]:
    """What a directory makes of the CSV: folder, person, e-mail, team, cost center, parent."""
    path = tmp_path / "people.csv"
    path.write_text(made.csv(), "utf-8")
    found = read_directory(path)
    parents = {unit.team: unit.parent for unit in found.units}
    return [
        (m.folder, m.person, m.email or "", m.team or "", m.cost_center or "",
         parents.get(m.team or "", ""))
        for m in found.memberships
    ]  # fmt: skip


def team(slug: str, *logins: str, above: str | None = None, **more: object) -> dict[str, object]:
    members = [{"login": one, "name": one.title(), "email": f"{one}@x.org"} for one in logins]
    return {
        "slug": slug,
        "name": slug.upper(),
        "parentTeam": {"slug": above} if above else None,
        "members": {"nodes": members, "pageInfo": {"hasNextPage": False}, **more},
    }


def answer(*teams: object) -> dict[str, object]:
    return {"data": {"organization": {"teams": {"nodes": [*teams]}}}}


def test_teams_of_github_the_lowest_one_that_a_person_is_in(tmp_path) -> None:
    """A team's members are listed in the teams above it, too."""
    document = answer(
        team("eng", "ann", "bob", "cem"), team("web", "ann", "cem", above="eng"),
        team("ops", "cem", above="eng"),
    )  # fmt: skip
    made = github_teams(file(tmp_path, document))
    assert rows(tmp_path, made) == [
        ("ann", "Ann", "ann@x.org", "WEB", "", "ENG"),
        ("bob", "Bob", "bob@x.org", "ENG", "", "(org)"),
        ("cem", "Cem", "cem@x.org", "OPS", "", "ENG"),
    ]
    assert made.notes == ('in several teams, put in the first by name: "cem"',)


def test_pages_of_github_and_teams_with_members_from_rest(tmp_path) -> None:
    pages = [answer(team("web", "ann")), answer(team("ops", "bob"))]
    found = rows(tmp_path, github_teams(file(tmp_path, pages)))
    rest = [
        {"slug": s, "name": s.upper(), "parent": None, "members": [{"login": login}]}
        for s, login in (("web", "ann"), ("ops", "bob"))
    ]
    again = rows(tmp_path, github_teams(file(tmp_path, rest)))
    assert [(r[0], r[3]) for r in found] == [(r[0], r[3]) for r in again]
    assert [(r[0], r[3]) for r in again] == [("ann", "WEB"), ("bob", "OPS")]


def test_pages_one_after_the_other_and_members_as_edges(tmp_path) -> None:
    """As `gh api --paginate` writes them, and as a query that asks for roles is answered."""
    edges = [{"role": "MEMBER", "node": {"login": "bob"}}]
    pages = [answer(team("web", "ann")), answer(team("ops", nodes=None, edges=edges))]
    text = "".join(map(json.dumps, pages)) + "\n"
    found = rows(tmp_path, github_teams(file(tmp_path, text)))
    assert [(r[0], r[3]) for r in found] == [("ann", "WEB"), ("bob", "OPS")]


def test_teams_of_rest_without_members_are_told_what_to_ask_for(tmp_path) -> None:
    rest = [{"slug": "web", "name": "Web", "members_url": "https://api.github.com/teams/1/members"}]
    with pytest.raises(SettingsError, match=r"REST answers with teams that have none"):
        github_teams(file(tmp_path, rest))


def test_members_that_are_on_another_page_are_missed(tmp_path) -> None:
    cut = team("web", "ann", pageInfo={"hasNextPage": True})
    with pytest.raises(SettingsError, match="members of team WEB are not all in the file"):
        github_teams(file(tmp_path, answer(cut)))


def user(login: str, /, **more: object) -> dict[str, object]:
    return {"userName": login, "displayName": login.title(), **more}


def test_users_of_scim_with_department_cost_center_and_primary_address(tmp_path) -> None:
    document = {
        "totalResults": 5,
        "Resources": [
            user(
                "ann",
                emails=[{"value": "a@home.org"}, {"value": "A@X.org", "primary": True}],
                **{ENTERPRISE: {"department": "Web", "costCenter": "C1", "division": "Eng"}},
            ),
            user("bob", id="7", displayName=None, name={"givenName": "Bob", "familyName": "Bo"}),
            user("old", active=False),
            user("cem", **{ENTERPRISE: {"department": "Web", "costCenter": "C1"}}),
            {"displayName": "Ops", "members": [{"value": "7"}]},
        ],
    }
    made = scim(file(tmp_path, document))
    assert rows(tmp_path, made) == [
        ("ann", "Ann", "a@x.org", "Web", "C1", "Eng"),
        ("bob", "Bob Bo", "", "Ops", "", "(org)"),
        ("cem", "Cem", "", "Web", "C1", "Eng"),
    ]
    assert made.notes == ("1 left out: not active",)


def test_scim_with_booleans_as_text_and_groups_in_the_user_is_understood(tmp_path) -> None:
    """Some services write "True" and "False", and most have a user's groups in the user."""
    mails = [{"value": "a@home.org"}, {"value": "a@x.org", "primary": "True"}]
    document = [
        user("ann", active="True", emails=mails, groups=[{"value": "1", "display": "Ops"}]),
        user("old", active="False"),
    ]
    made = scim(file(tmp_path, document))
    assert rows(tmp_path, made) == [("ann", "Ann", "a@x.org", "Ops", "", "(org)")]
    assert made.notes == ("1 left out: not active",)


def test_what_people_call_themselves_is_no_formula_of_whoever_opens_the_file(tmp_path) -> None:
    document = answer(
        team("web", "ann"),
        {**team("=ops"), "members": [{"login": "bob", "name": "=1+1", "email": "=1@x.org"}]},
    )
    made = github_teams(file(tmp_path, document))
    assert rows(tmp_path, made)[1] == ("bob", "'=1+1", "'=1@x.org", "'=OPS", "", "(org)")
    assert not any(
        cell.startswith("=") for line in made.csv().splitlines() for cell in line.split(",")
    )


def test_what_a_directory_has_no_room_for_is_told(tmp_path) -> None:
    extra = [{"department": "Web", "costCenter": center} for center in ("C1", "C2")]
    document = [
        user("a1", displayName="Ann Lee", emails=[{"value": "a@x.org"}], **{ENTERPRISE: extra[0]}),
        user("a2", displayName="Ann Lee", emails=[{"value": "A@x.org"}], **{ENTERPRISE: extra[1]}),
        user("a2"),
        user("\ud800"),
        user("odd", displayName="\x1b[2JO\nO", emails=[{"value": "@"}],
             **{ENTERPRISE: {"department": "(org)"}}),
    ]  # fmt: skip
    made = scim(file(tmp_path, document))
    assert rows(tmp_path, made) == [
        ("a1", "Ann Lee (a1)", "a@x.org", "Web", "", "(org)"),
        ("a2", "Ann Lee (a2)", "", "Web", "", "(org)"),
        ("odd", "[2JO O", "", "", "", ""),
    ]
    assert made.notes == (
        "2 left out: without a login, or with that of another",
        '"a2" has the address of another; left empty',
        'left empty, people say several: cost_center of "Web"',
    )


def test_pages_of_scim_that_are_missing_are_missed(tmp_path) -> None:
    pages = [{"totalResults": 2, "Resources": [user("ann")]}]
    with pytest.raises(SettingsError, match="the file has 1 of 2 resources"):
        scim(file(tmp_path, pages))
    pages.append({"totalResults": 2, "Resources": [user("bob")]})
    assert len(scim(file(tmp_path, pages)).people) == 2


LDIF = """version: 1

# people
dn: uid=ann,ou=people,dc=x
uid: ann
cn: Ann
mail: Ann@x.org
ou: Ein sehr langer Name
  einer Abteilung
jpegPhoto:: /9j/
labeledURI:< http://127.0.0.1:1/never
departmentNumber: 47

dn:: {dn}
sAMAccountName: bob
displayName:: {name}
department: Öl
userAccountControl: 512

dn: cn=gone,dc=x
sAMAccountName: gone
userAccountControl: 514

dn: uid=cem,ou=people,dc=x
uid: cem

dn: cn=ops,ou=groups,dc=x
cn: ops
member: UID=cem,ou=People,dc=x
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_entries_of_ldap_with_folded_and_encoded_lines(tmp_path, ending: str) -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    text = LDIF.format(dn=encoded("cn=bób,dc=x"), name=encoded("Bób"))
    made = ldif(file(tmp_path, text.replace("\n", ending)))
    assert rows(tmp_path, made) == [
        ("ann", "Ann", "ann@x.org", "Ein sehr langer Name einer Abteilung", "47", "(org)"),
        ("bob", "Bób", "", "Öl", "", "(org)"),
        ("cem", "cem", "", "ops", "", "(org)"),
    ]
    assert made.notes == ("1 left out: disabled",)


def test_a_photo_of_many_lines_is_read_at_once(tmp_path) -> None:
    """Joined line by line it would be copied a hundred thousand times."""
    photo = "jpegPhoto:: " + "\n ".join(["A" * 76] * 100_000)
    made = ldif(file(tmp_path, f"dn: uid=a\nuid: a\n{photo}\n"))
    assert [one.folder for one in made.people] == ["a"]


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (github_teams, "{", "is no JSON"),
        (github_teams, "[" * 100_000, "is no JSON"),
        (github_teams, {"data": None}, "is no export of GitHub teams"),
        (github_teams, answer(), "there are no people in it"),
        (scim, {"schemas": []}, "has no users of SCIM"),
        (scim, [], "has no users of SCIM"),
        (ldif, "dn: uid=a\nuid a\n", "export:2: this is not LDIF; it takes `name: value`"),
        (ldif, "uid: a\n", "export:1: this is not LDIF; an entry begins with `dn:`"),
        (ldif, "dn: uid=a\nuid:: A\n", "export:2: this is not base64"),
        (ldif, "", "there are no people in it"),
    ],
)
def test_another_file_is_said_to_be_one(tmp_path, read, content: object, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(file(tmp_path, content))
    assert said in str(error.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path / "none")


def test_teams_above_each_other_are_an_error(tmp_path) -> None:
    document = [
        user("a", **{ENTERPRISE: {"department": "x", "division": "y"}}),
        user("b", **{ENTERPRISE: {"department": "y", "division": "x"}}),
    ]
    with pytest.raises(SettingsError, match="above itself"):
        scim(file(tmp_path, document))
    loop = answer(team("x", "ann", above="y"), team("y", "bob", above="x"))
    with pytest.raises(SettingsError, match="above itself"):
        github_teams(file(tmp_path, loop))


@pytest.mark.parametrize(
    ("dn", "team"),
    [
        ("CN=data,OU=Groups,DC=x", "data"),
        (r"cn = Sales\, EMEA ,dc=x", "Sales, EMEA"),
        (r"CN=K\C3\BCche,DC=x", "Küche"),
        ("cn=a+uid=b,dc=x", "a"),
        ("no name", ""),
    ],
)
def test_the_group_of_memberof_is_what_its_name_begins_with(tmp_path, dn: str, team: str) -> None:
    text = f"dn: uid=ann\nuid: ann\nmemberOf: {dn}\n"
    assert rows(tmp_path, ldif(file(tmp_path, text)))[0][3] == team
