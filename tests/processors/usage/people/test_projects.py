"""projects.toml: which repositories and folders are one project, and what is refused."""

from pathlib import Path

import pytest

from lines import UsagePipeline, assistant, usage
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.people.projects import Namer, read_projects
from session_pipeline_dagster.settings import PeopleSettings

SHOP = """[[project]]
name = "shop"
repositories = ["shop", "shop-*"]
paths = ["/home/*/src/shop/*", "C:\\\\src\\\\shop"]

[[project]]
name = "everything of ops"
repositories = ["*"]
folders = ["-srv-ops?-*"]
"""


def namer(tmp_path: Path, text: str) -> Namer:
    path = tmp_path / "projects.toml"
    path.write_text(text, "utf-8")
    return Namer(read_projects(path))


@pytest.mark.parametrize(
    ("project", "repository", "name"),
    [
        ("-x", "shop", "shop"),
        ("-x", "shop-worktree-3", "shop"),
        ("-x", "Shop", "everything of ops"),
        ("-home-ann-src-shop-web", "web", "shop"),
        ("C--src-shop", None, "shop"),
        ("-srv-ops1-x", None, "everything of ops"),
        ("-srv-ops-x", None, "-srv-ops-x"),
        (None, None, None),
    ],
)
def test_the_first_group_that_fits_names_a_project(
    tmp_path, project: str | None, repository: str | None, name: str | None
) -> None:
    assert namer(tmp_path, SHOP).name_of(project, repository) == name


def test_without_a_group_it_is_the_repository_else_the_folder() -> None:
    assert Namer(()).name_of("-home-ann-shop", "shop") == "shop"
    assert Namer(()).name_of("-home-ann-shop", None) == "-home-ann-shop"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "shop"', "", 1, "name is missing"),
        ('"shop", "shop-*"', '"shop", 1', 3, "it takes a list of texts in quotes"),
        ('["shop", "shop-*"]', '"shop"', 3, "it takes a list of texts in quotes"),
        ("repositories", "repository", 3, "is repositories meant?"),
        ("everything of ops", "shop", 7, "line 1 has a project of this name"),
        ('repositories = ["*"]\nfolders = ["-srv-ops?-*"]', "", 6, "give it a list of globs"),
        ("[[project]]\nname", "[[projects]]\nname", 1, "is project meant?"),
    ],
)
def test_an_error_names_file_and_line(tmp_path, old: str, new: str, line: int, said: str) -> None:
    assert old in SHOP
    with pytest.raises(SettingsError) as error:
        namer(tmp_path, SHOP.replace(old, new))
    assert str(error.value).startswith(f"{tmp_path}/projects.toml:{line}: ")
    assert said in str(error.value)


def test_a_glob_that_would_try_for_ever_does_not(tmp_path) -> None:
    found = namer(tmp_path, f'[[project]]\nname = "x"\nrepositories = ["{"*a" * 40}*b"]\n')
    assert found.name_of(None, "a" * 200) == "a" * 200


def test_one_folder_may_hold_several_repositories_and_groups_follow_the_file(tmp_path) -> None:
    """Subfolders and worktrees: the repository is where the session began to work."""
    pipeline = UsagePipeline(tmp_path)

    def write(key: str, number: int, cwd: str) -> None:
        line = assistant(f"m{number}", usage(1000), cwd=cwd, sessionId=f"s{number}")
        pipeline.write(key, line)

    write("ann/-w/1.jsonl", 1, "/w/shop")
    write("ann/-w/2.jsonl", 2, "/w/shop-fix")
    write("bob/-v/3.jsonl", 3, "/v/tools")
    file = tmp_path / "projects.toml"
    people = PeopleSettings(projects=file)
    sql = "SELECT project, sum(messages)::INT FROM usage_person_daily GROUP BY ALL ORDER BY ALL"
    file.write_text('[[project]]\nname = "Shop"\nrepositories = ["shop*"]\n')
    pipeline.run(people=people)
    assert pipeline.select(sql) == [("Shop", 2), ("tools", 1)]
    write("bob/-v/4.jsonl", 4, "/v/shop-late")
    pipeline.run(people=people)
    assert pipeline.select(sql) == [("Shop", 3), ("tools", 1)]
    file.write_text("[[project]]\n")
    write("bob/-v/5.jsonl", 5, "/v/shop-new")
    pipeline.run(people=people)
    # The last good groups stay; what is new has its own name until the file is good.
    assert pipeline.select(sql) == [("Shop", 3), ("shop-new", 1), ("tools", 1)]
    file.write_text('[[project]]\nname = "All"\nfolders = ["-[vw]"]\n')
    pipeline.run(people=people)
    assert pipeline.select(sql) == [("All", 5)]
    pipeline.run()
    assert [name for name, _ in pipeline.select(sql)] == [
        "shop", "shop-fix", "shop-late", "shop-new", "tools"
    ]  # fmt: skip
