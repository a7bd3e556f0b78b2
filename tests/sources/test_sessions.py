"""What is a session file and what is not, on a real file system; read once, hashed as read."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import xxhash

from lines import encode, other, user
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.names import LONGEST, short
from session_pipeline_dagster.settings import Layout, Root
from session_pipeline_dagster.sources.files import session_day
from session_pipeline_dagster.sources.keys import owner_of
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.snapshot import complete_part
from session_pipeline_dagster.transcripts.head import HEAD_BYTES

LINE = encode(user("a"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def put(root: Path, key: str, content: bytes = LINE) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def source(root: Path, layout: Layout = Layout.USERS, user: str = "me") -> LocalSource:
    return LocalSource((Root(root),), layout, user)


def keys(root: Path) -> list[str]:
    return [file.key for file in source(root).scan().files]


def left_out(root: Path) -> dict[str, str]:
    return {left.key: left.reason for left in source(root).scan().left_out}


TREE = {
    "alice/x.jsonl": ("alice", None),
    "alice/proj/x.jsonl": ("alice", "proj"),
    "alice/proj/s/subagents/agent-1.jsonl": ("alice", "proj"),
    "alice/proj/s/subagents/workflows/w/agent-2.jsonl": ("alice", "proj"),
    "alice/s/subagents/agent-3.jsonl": ("alice", None),
    "Bob/x.jsonl": ("Bob", None),
    "bob/x.jsonl": ("bob", None),
}


def test_below_each_user_files_of_any_depth_are_found(root: Path) -> None:
    for key in TREE:
        put(root, key)
    files = source(root).scan().files
    assert {f.key: (f.user, f.project) for f in files} == TREE
    assert [f.key for f in files] == sorted(TREE)


def test_in_the_projects_layout_the_first_folder_is_the_project(root: Path) -> None:
    put(root, "-home-me-p/x.jsonl")
    put(root, "-home-me-p/x/subagents/agent-1.jsonl")
    files = source(root, Layout.PROJECTS, "carol").scan().files
    assert [(f.user, f.project) for f in files] == [("carol", "-home-me-p")] * 2


def test_a_file_says_what_stat_says(root: Path) -> None:
    path = put(root, "alice/x.jsonl")
    (file,) = source(root).scan().files
    found = path.stat()
    assert (file.signature.size, file.signature.mtime_ns, file.signature.ctime_ns, file.path) == (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        str(path),
    )


def test_an_empty_root_has_no_files_and_an_empty_file_is_one(root: Path) -> None:
    assert keys(root) == []
    put(root, "alice/x.jsonl", b"")
    assert keys(root) == ["alice/x.jsonl"]


@pytest.mark.parametrize(
    ("layout", "whose"), [(Layout.USERS, "user"), (Layout.PROJECTS, "project")]
)
def test_a_stray_file_at_the_root_is_left_out_with_its_reason(root, layout, whose: str) -> None:
    put(root, "stray.jsonl")
    scan = source(root, layout).scan()
    assert list(scan.files) == []
    assert [(x.key, x.reason) for x in scan.left_out] == [
        ("stray.jsonl", f"not inside a folder of a {whose}")
    ]


def test_files_beside_sessions_are_no_sessions(root: Path) -> None:
    for name in ("sessions-index.json", "agent-1.meta.json", "x.jsonl.tmp", "tool-results/a.txt"):
        put(root, f"alice/{name}")
    put(root, "README.md")
    assert (keys(root), left_out(root)) == ([], {})


def test_symbolic_links_are_left_out_wherever_they_lead(root: Path, tmp_path: Path) -> None:
    real, outside = put(root, "alice/real.jsonl"), put(tmp_path, "outside/secret.jsonl")
    links = {
        "alice/inside.jsonl": real,
        "alice/outside.jsonl": outside,
        "alice/dangling.jsonl": root / "nowhere",
        "alice/loop.jsonl": root / "alice/loop.jsonl",
        "alice/to-folder": outside.parent,
        "alice/to-root": root,
        "bob": outside.parent,
        "top.jsonl": real,
    }
    for key, target in links.items():
        (root / key).symlink_to(target)
    assert keys(root) == ["alice/real.jsonl"]
    assert left_out(root).keys() == links.keys()
    assert all(reason.startswith("symbolic link") for reason in left_out(root).values())


def test_a_link_to_itself_costs_nothing_but_itself(root: Path) -> None:
    put(root, "alice/x.jsonl")
    for key in ("alice/loop", "loop", "alice/loop.jsonl"):
        (root / key).symlink_to(Path(key).name)
    assert keys(root) == ["alice/x.jsonl"]
    assert left_out(root) == {
        "alice/loop": "cannot be looked at: Too many levels of symbolic links",
        "alice/loop.jsonl": "symbolic link",
        "loop": "symbolic link",
    }


def test_links_that_are_no_sessions_are_listed_where_they_lead_to_a_folder(root: Path) -> None:
    notes = put(root, "alice/notes.txt")
    (root / "alice/to-file").symlink_to(notes)
    (root / "alice/to-nothing").symlink_to(root / "nowhere")
    (root / "alice/to-folder").symlink_to(root)
    assert left_out(root) == {"alice/to-folder": "symbolic link to a folder"}


def test_a_root_that_is_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    put(root, "alice/x.jsonl")
    (tmp_path / "link").symlink_to(root)
    assert keys(tmp_path / "link") == ["alice/x.jsonl"]


def test_fifos_and_folders_named_like_sessions_are_left_out(root: Path) -> None:
    put(root, "alice/folder.jsonl/inner.jsonl")
    put(root, "user.jsonl/x.jsonl")
    os.mkfifo(root / "alice/fifo.jsonl")
    os.mkfifo(root / "top.jsonl")
    assert keys(root) == []
    assert left_out(root) == {
        "alice/folder.jsonl": "folder",
        "alice/fifo.jsonl": "not a regular file",
        "top.jsonl": "not a regular file",
        "user.jsonl": "folder",
    }


@pytest.mark.parametrize("swap", ["fifo", "link", "folder"])
def test_what_took_a_files_place_since_the_scan_is_not_read(root: Path, swap: str) -> None:
    path, target = put(root, "alice/x.jsonl"), put(root, "alice/y.jsonl")
    file = source(root).scan().files[0]
    path.unlink()
    {"fifo": os.mkfifo, "link": lambda p: p.symlink_to(target), "folder": Path.mkdir}[swap](path)
    with pytest.raises(OSError, match=r"."):
        source(root).read(file)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_swapped_for_a_link_since_the_scan_leads_nowhere(root: Path, depth: int) -> None:
    put(root, "alice/p/q/x.jsonl")
    outside = put(root.parent / "outside", "p/q/x.jsonl").parent.parent.parent
    (file,) = source(root).scan().files
    parts = ("alice", "p", "q")[: depth + 1]
    folder, target = root.joinpath(*parts), outside.joinpath(*parts[1:])
    folder.rename(root.parent / "away")
    folder.symlink_to(target)
    assert Path(file.path).exists(), "by its path alone it would be read"
    with pytest.raises(OSError, match=r"."):
        source(root).read(file)
    with pytest.raises(OSError, match=r"."):
        source(root).day(file)


def test_a_root_that_is_a_link_itself_is_what_its_owner_has_set(root: Path) -> None:
    put(root, "alice/p/x.jsonl")
    link = root.parent / "link"
    link.symlink_to(root)
    (file,) = source(link).scan().files
    assert source(link).read(file).complete


# Runs as another user where we are root, because root may read everything.
AS_NOBODY = """
import os, sys
from pathlib import Path
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.settings import Root
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    scan = LocalSource((Root(Path(sys.argv[2])),)).scan()
except SourceUnavailable as error:
    sys.exit(f"unavailable: {error}")
for file in scan.files:
    print("file", file.key)
for left in scan.left_out:
    print("left", left.key, left.reason)
"""


def scan_as_nobody(folder: Path, root: str) -> subprocess.CompletedProcess[str]:
    folder.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(folder), root]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def locked(root: Path):
    """A folder that nobody may enter, with a session file in it."""
    folder = put(root, "alice/locked/x.jsonl").parent
    folder.chmod(0)
    yield folder
    folder.chmod(0o755)


def test_an_unreadable_folder_is_left_out_and_the_others_are_read(root, locked, tmp_path) -> None:
    put(root, "alice/open/x.jsonl")
    found = scan_as_nobody(tmp_path, "root")
    assert found.stdout.splitlines() == [
        "file alice/open/x.jsonl",
        "left alice/locked/ folder cannot be read: Permission denied",
    ], found.stderr


def test_a_link_into_a_closed_folder_is_left_out_and_the_others_are_read(
    root, locked, tmp_path
) -> None:
    (root / "alice/link").symlink_to(locked / "below")
    put(root, "alice/open/x.jsonl")
    found = scan_as_nobody(tmp_path, "root")
    assert sorted(found.stdout.splitlines()) == [
        "file alice/open/x.jsonl",
        "left alice/link cannot be looked at: Permission denied",
        "left alice/locked/ folder cannot be read: Permission denied",
    ], found.stderr


@pytest.mark.parametrize("below", ["", "/sessions"], ids=["itself", "its parent"])
def test_an_unreadable_root_is_an_error_of_the_source(locked, tmp_path, below: str) -> None:
    found = scan_as_nobody(tmp_path, f"root/alice/locked{below}")
    assert found.stderr.startswith("unavailable: session root"), found.stderr


HIDDEN = ("alice/.stversions", "alice/p/.snapshot", ".Trash", ".x", "alice/...", "alice/.claude2")


def test_folders_whose_name_begins_with_a_dot_are_left_out_and_listed(root: Path) -> None:
    """What a tool keeps there of a session file is no second one."""
    put(root, "alice/p/x.jsonl")
    for key in HIDDEN:
        put(root, f"{key}/p/x.jsonl")
    assert keys(root) == ["alice/p/x.jsonl"]
    assert left_out(root) == {f"{key}/": "hidden folder" for key in HIDDEN}


def test_documents_of_agents_without_a_reader_are_counted_by_folder(root: Path) -> None:
    put(root, "alice/p/x.jsonl")
    for key in ("alice/.x/ses_0a.json", "ses_0b.json", "alice/p/notes.json", "alice/p/x.json"):
        put(root, key)
    for number in range(3):
        put(root, f"alice/opencode/storage/session/global/ses_{number}a.json")
    put(root, "alice/opencode/opencode.db")
    put(root, f"alice/chats/session-2026-01-01T00-0{number}-0123abcd.json")
    scan = source(root).scan()
    assert [file.key for file in scan.files] == ["alice/p/x.jsonl"]
    counted = [(one.key, one.reason, one.documents) for one in scan.left_out if one.documents]
    no_reader = "an OpenCode document; no reader"
    assert counted == [
        ("alice/chats/", "a Gemini CLI document; no reader", 1),
        ("alice/opencode/", no_reader, 1),
        ("alice/opencode/storage/session/global/", no_reader, 3),
    ]
    assert not any(one.hides for one in scan.left_out), "what was read below them is gone"


def test_a_copied_claude_folder_is_read(root: Path) -> None:
    for key in ("alice/.claude/projects/-p/x.jsonl", "alice/.claude/.git/x.jsonl"):
        put(root, key)
    assert keys(root) == ["alice/.claude/projects/-p/x.jsonl"]
    assert left_out(root) == {"alice/.claude/.git/": "hidden folder"}


def test_a_root_may_lie_below_hidden_folders_and_be_one(tmp_path: Path) -> None:
    put(tmp_path, ".config/.sessions/alice/x.jsonl")
    assert keys(tmp_path / ".config" / ".sessions") == ["alice/x.jsonl"]


def test_a_missing_root_names_the_setting(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"does not exist.*SESSION_DATA_DIR"):
        source(root / "missing").scan()


def test_a_root_that_is_a_file_names_the_setting(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"is not a directory.*SESSION_DATA_DIR"):
        source(put(root, "file")).scan()


def test_one_missing_root_of_several_is_an_error(root: Path) -> None:
    with pytest.raises(SourceUnavailable, match="missing"):
        LocalSource((Root(root), Root(root / "missing", "two"))).scan()


def test_only_a_named_root_prefixes_its_keys(root: Path, tmp_path: Path) -> None:
    put(root, "alice/x.jsonl")
    put(tmp_path, "second/alice/x.jsonl")
    put(tmp_path, "second/stray.jsonl")
    scan = LocalSource((Root(root), Root(tmp_path / "second", "two"))).scan()
    found = [(f.key, f.user, f.project) for f in scan.files]
    assert found == [("alice/x.jsonl", "alice", None), ("two:alice/x.jsonl", "alice", None)]
    assert [left.key for left in scan.left_out] == ["two:stray.jsonl"]


NAMES = [
    b"a b.jsonl",
    b'it\'s "quoted".jsonl',
    b"two\nlines.jsonl",
    b"-rf.jsonl",
    b"..jsonl",
    b".jsonl",
    b"a\xff.jsonl",
    b"a\xfe.jsonl",
    b"a%FF.jsonl",
    b"a%25FF.jsonl",
    b"a%ff.jsonl",
    b"100%.jsonl",
    "ü%FF.jsonl".encode(),
    "\U0001f600.jsonl".encode(),
]


def test_odd_names_give_distinct_keys_that_every_store_takes(root: Path) -> None:
    for name in NAMES:
        put(root, f"alice/{os.fsdecode(name)}", name)
    files = source(root).scan().files
    assert len({file.key.encode() for file in files}) == len(NAMES)
    assert sorted(source(root).read(f).signature.size for f in files) == sorted(map(len, NAMES))
    plain = {f"alice/{name.decode()}" for name in NAMES[:6]}
    assert plain < {file.key for file in files}


def test_odd_folder_names_give_distinct_users(root: Path) -> None:
    for name in (b"b\xff", b"b%FF"):
        put(root, f"{os.fsdecode(name)}/x.jsonl")
    users = [file.user for file in source(root).scan().files]
    assert sorted(users) == ["b%25FF", "b%FF"]


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b"", False),
        (b'{"type":"user","mess', False),
        (b'{"type":"user"}', True),
        (b' {"type":"user"} ', True),
        (b'{"type":"user"}\r', True),
        (b'{"type":"user","x":"\xff"}', True),
        (b'{"type":"user","x":NaN}', True),
        (b'{"type":"user"}{"type":', False),
        (b"\0" * 100, False),
        (b"nonsense", False),
        (b"17", False),
        (b"   ", False),
        (b"[" * 100_000, False),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("before", [b"", LINE], ids=["only line", "after a line"])
def test_a_last_line_without_newline_counts_once_it_is_whole(before, tail, kept: bool) -> None:
    assert complete_part(before + tail) == before + (tail if kept else b"")


def test_an_only_line_counts_behind_a_bom_too() -> None:
    assert complete_part(BOM + b'{"type":"user"}') == BOM + b'{"type":"user"}'


@pytest.mark.parametrize("tail", [b"", b'{"half', b'{"type":"user"}'])
def test_the_hash_is_that_of_the_complete_part(root: Path, tail: bytes) -> None:
    put(root, "alice/x.jsonl", LINE + tail)
    (file,) = source(root).scan().files
    content = source(root).read(file)
    assert content.complete == complete_part(LINE + tail)
    assert content.file_hash == xxhash.xxh3_128_hexdigest(content.complete)
    assert content.signature == file.signature


def test_a_file_that_is_gone_says_so(root: Path) -> None:
    path = put(root, "alice/x.jsonl")
    (file,) = source(root).scan().files
    path.unlink()
    with pytest.raises(FileNotFoundError):
        source(root).read(file)


TIMELESS = encode(other("summary", at=None))
MTIME = date(2025, 3, 2)


@pytest.mark.parametrize(
    ("content", "day"),
    [
        (LINE, date(2026, 3, 10)),
        (BOM + LINE, date(2026, 3, 10)),
        (TIMELESS + LINE, date(2026, 3, 10)),
        (TIMELESS * 1000 + LINE, date(2026, 3, 10)),
        (TIMELESS + b" " * (17 << 10) + LINE, date(2026, 3, 10)),
        (LINE[:-1], date(2026, 3, 10)),
        (LINE[:-2], MTIME),
        (TIMELESS + LINE[:-9], MTIME),
        (TIMELESS, MTIME),
        (b"", MTIME),
        (b" " * HEAD_BYTES + b"\n" + LINE, MTIME),
        (b" " * (HEAD_BYTES - len(LINE) - 1) + b"\n" + LINE, date(2026, 3, 10)),
        (b" " * (HEAD_BYTES - len(LINE)) + b"\n" + LINE, MTIME),
        (b" " * (HEAD_BYTES - len(LINE) - 1) + b"\n" + LINE + b'{"half', date(2026, 3, 10)),
        (b" " * (HEAD_BYTES - len(LINE)) + b"\n" + LINE[:-1], date(2026, 3, 10)),
    ],
    ids=range(15),
)
def test_the_head_alone_gives_the_day_that_the_whole_file_gives(root, content, day: date) -> None:
    path = put(root, "alice/x.jsonl", content)
    at = int(datetime(2025, 3, 2, 12, tzinfo=UTC).timestamp())
    os.utime(path, (at, at))
    (file,) = source(root).scan().files
    assert (source(root).day(file), session_day(source(root).read(file))) == (day, day)


@pytest.mark.parametrize(("mtime", "day"), [(-1, date(1969, 12, 31)), (2**33, date(2242, 3, 16))])
def test_an_odd_mtime_still_gives_a_day(root: Path, mtime: int, day: date) -> None:
    os.utime(put(root, "alice/x.jsonl", TIMELESS), (mtime, mtime))
    (file,) = source(root).scan().files
    assert source(root).day(file) == day


def two_roots(tmp_path: Path, one: str, two: str, name: str) -> LocalSource:
    """A file in an unnamed root, and one in a root of that name."""
    put(tmp_path, f"one/{one}/x.jsonl")
    put(tmp_path, f"two/{two}/x.jsonl")
    return LocalSource((Root(tmp_path / "one"), Root(tmp_path / "two", name)))


@pytest.mark.parametrize("one", ["team:alice", "team:%3Aalice"])
def test_no_key_looks_like_one_of_a_named_root(tmp_path: Path, one: str) -> None:
    scan = two_roots(tmp_path, one, "alice", "team").scan()
    key = one.replace("%3A", "%253A").replace(":", "%3A")
    assert {file.key: (file.user, file.root) for file in scan.files} == {
        f"{key}/x.jsonl": (one, ""),
        "team:alice/x.jsonl": ("alice", "team"),
    }
    assert scan.left_out == []


COLONS = [
    "a:b",
    "a%3Ab",
    "a%253Ab",
    "a%25:b",
    "a::b",
    "a%3A:b",
    "%",
    "%3",
    "3A",
    ":",
    "a%3ab",
    "%:",
]


def test_a_colon_in_a_users_folder_is_escaped_and_the_user_keeps_the_name(root: Path) -> None:
    for name in COLONS:
        put(root, f"{name}/p:q/x:y.jsonl")
    files = source(root).scan().files
    assert len({file.key for file in files}) == len(COLONS)
    assert not any(":" in file.key.partition("/")[0] for file in files)
    assert {file.project for file in files} == {"p:q"}
    assert all(file.key.endswith("/p:q/x:y.jsonl") for file in files)
    plain = [name for name in COLONS if "%25" not in name]
    assert {file.user for file in files} >= set(plain)
    assert len({file.user for file in files}) == len(COLONS)
    assert {file.key for file in files} >= {f"{n}/p:q/x:y.jsonl" for n in ("%", "%3", "3A")}
    projects = {file.project for file in source(root, Layout.PROJECTS).scan().files}
    assert projects == {file.user for file in files}


def test_of_two_files_with_one_key_the_second_is_left_out(tmp_path: Path) -> None:
    """Only a name that no setting takes makes two."""
    put(tmp_path, "one/a/b:c/x.jsonl")
    put(tmp_path, "two/c/x.jsonl")
    scan = LocalSource((Root(tmp_path / "one"), Root(tmp_path / "two", "a/b"))).scan()
    assert [file.key for file in scan.files] == ["a/b:c/x.jsonl"]
    assert [(left.key, "this key" in left.reason) for left in scan.left_out] == [
        ("a/b:c/x.jsonl", True)
    ]


@pytest.mark.parametrize("layout", [Layout.USERS, Layout.PROJECTS])
def test_a_user_and_a_project_have_a_length(root: Path, layout: Layout) -> None:
    long = ["u" * 250, "u" * 249 + "v", "ü" * 100]
    for name in long:
        put(root, f"{name}/{name}/x.jsonl")
    files = source(root, layout, long[0]).scan().files
    names = {file.project for file in files}
    if layout is Layout.USERS:
        names |= {file.user for file in files}
    assert len(names) == 3
    assert all(len(name) <= LONGEST for name in {*names, *(file.user for file in files)})
    assert all(file.user == short(file.user) for file in files)
    assert {file.key.partition("/")[0] for file in files} == set(long)


def test_sessions_of_codex_have_no_project_in_their_folders() -> None:
    """It keeps them by their days; the project is where a thread worked."""
    wanted = {
        "alice/sessions/2026/11/20/": ("alice", None),
        "alice/.codex/sessions/2026/11/20/": ("alice", None),
        "alice/laptop/archived_sessions/": ("alice", None),
        "alice/-home-alice-sessions/": ("alice", "-home-alice-sessions"),
        "sessions/-home-alice-app/": ("sessions", "-home-alice-app"),
    }
    assert {key: owner_of(key) for key in wanted} == wanted
    assert owner_of("sessions/2026/11/20/", Layout.CODEX, "bob") == ("bob", None)


def test_sessions_of_gemini_cli_are_of_the_project_beside_their_chats() -> None:
    wanted = {
        "alice/.gemini/tmp/shop/chats/": ("alice", "shop"),
        "alice/tmp/shop/chats/5f0c/": ("alice", "shop"),
        "alice/laptop/gemini/tmp/shop/chats/": ("alice", "shop"),
        "alice/tmp/shop/": ("alice", "tmp"),
        "tmp/shop/chats/": ("tmp", "shop"),
    }
    assert {key: owner_of(key) for key in wanted} == wanted
    home = "tmp/shop/chats/5f0c/"
    assert owner_of(home, Layout.GEMINI, "bob") == ("bob", "shop")
    assert owner_of(home, Layout.PROJECTS, "bob") == ("bob", "tmp")


def test_sessions_of_copilot_have_no_project_in_their_folders() -> None:
    wanted = {
        "alice/.copilot/session-state/0a1b/": ("alice", None),
        "alice/session-state/0a1b/": ("alice", None),
        "session-state/-home-alice-app/": ("session-state", "-home-alice-app"),
    }
    assert {key: owner_of(key) for key in wanted} == wanted
    assert owner_of("session-state/0a1b/", Layout.COPILOT, "bob") == ("bob", None)
