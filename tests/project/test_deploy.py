"""The files of deploy/: units, containers, proxy, backup, each held by the tool that reads it."""

import base64
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from deployment import BIN, COMMON, DEPLOY, UNITS, assignments, directives, free_port
from helpers import EchoProcessor, make_pipeline, write_session
from postgres import placed
from session_pipeline_dagster.settings import read_settings

ROOT = DEPLOY.parent
SERVICES = {path.stem.removeprefix("session-pipeline-"): path for path in UNITS.glob("*.service")}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
PIPELINE = {n: s for n, s in COMPOSE["services"].items() if n not in ("postgres", "proxy")}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
OF_DAGSTER = {"DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "DAGSTER_DISABLE_TELEMETRY"}
systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")


def settings_read() -> set[str]:
    """Every variable that the package reads."""
    source = (ROOT / "session_pipeline_dagster" / "settings.py").read_text("utf-8")
    return set(re.findall(r'env, "([A-Z_]+)"', source))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with programs that exist on this machine."""
    folder = shutil.copytree(UNITS, tmp_path / "units")
    # The clone may lie below a folder with a space in its name, which a unit would have to quote.
    (tmp_path / "bin").symlink_to(BIN)
    for path in folder.glob("*.service"):
        here = str(tmp_path / "bin")
        text = path.read_text("utf-8").replace("/opt/session-pipeline/current/bin", here)
        path.write_text(text)
    return folder


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        check=False,
    )


@systemd
def test_systemd_reads_every_unit_without_a_complaint(units: Path) -> None:
    paths = sorted(str(path) for path in units.iterdir() if path.suffix in (".service", ".target"))
    assert len(paths) == 5
    found = analyze(units, "verify", "--man=no", *paths)
    assert (found.returncode, found.stderr) == (0, "")


@systemd
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_as_confined_as_systemd_can(units: Path, name: str) -> None:
    """At most 2 of 10 of what an unconfined service is exposed to; through the common drop-in."""
    unit = str(units / SERVICES[name].name)
    found = analyze(units, "security", "--offline=yes", "--threshold=20", "--no-pager", unit)
    assert found.returncode == 0, found.stdout[-500:]


def test_only_the_code_server_has_settings_and_data() -> None:
    assert set(SERVICES) == {"code", "daemon", "webserver", "operator"}
    having = {name for name, path in SERVICES.items() if directives(path, "EnvironmentFile")}
    assert having == {"code"}
    blind = {name for name, path in SERVICES.items() if directives(path, "InaccessiblePaths")}
    assert blind == set(SERVICES) - {"code"}
    having = {name for name, service in PIPELINE.items() if "env_file" in service}
    holding = {n for n, s in PIPELINE.items() if any(v.startswith("data:") for v in s["volumes"])}
    assert having == holding == {"code"}


def test_containers_run_the_same_commands_as_the_units() -> None:
    """But for the address of a web server, which in a container is the container's own."""
    assert set(PIPELINE) == set(SERVICES)
    for name, path in SERVICES.items():
        (line,) = directives(path, "ExecStart")
        program, *arguments = line.removeprefix("/opt/session-pipeline/current/bin/").split()
        ours = [a.replace("127.0.0.1", "0.0.0.0").replace("3001", "3000") for a in arguments]  # noqa: S104
        assert [program, *ours] == PIPELINE[name]["command"], name


def test_web_servers_listen_on_loopback_and_only_the_operators_can_change_anything() -> None:
    commands = {name: directives(path, "ExecStart")[0] for name, path in SERVICES.items()}
    web = {name: line for name, line in commands.items() if "dagster-webserver" in line}
    assert set(web) == {"webserver", "operator"}
    assert all(" -h 127.0.0.1 " in line for line in web.values())
    assert [name for name, line in web.items() if "--read-only" not in line] == ["operator"]
    wanted = directives(UNITS / "session-pipeline.target", "Wants")[0]
    assert "operator" not in wanted
    assert PIPELINE["operator"]["profiles"] == ["operator"]


def test_containers_publish_nothing_but_the_proxy_and_that_on_loopback() -> None:
    published = {name: s["ports"] for name, s in COMPOSE["services"].items() if "ports" in s}
    assert set(published) == {"proxy"}
    assert all(port.startswith("${PROXY_ADDRESS:-127.0.0.1}:") for port in published["proxy"])
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    inner = {n for n, s in COMPOSE["services"].items() if s["networks"] == ["inside"]}
    assert inner == {"postgres", "daemon", "webserver", "operator"}


def test_containers_have_no_rights_and_say_how_they_are() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert re.search(r":\d+\.\d+", service["image"]), "a tag that does not move"
    for name, service in PIPELINE.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    named = {v.split(":")[0] for s in COMPOSE["services"].values() for v in s["volumes"]}
    assert {name for name in named if name[0] not in "./$"} == set(COMPOSE["volumes"])
    lines = DOCKERFILE.splitlines()
    assert lines[-1] == "USER 10001:10001"
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(bases) == {"${PYTHON_IMAGE}"}
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", base)
    assert base in COMPOSE["services"]["code"]["build"]["args"]["PYTHON_IMAGE"]


def test_containers_are_given_so_much_memory_and_the_code_server_as_much_as_its_unit() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    assert services["code"]["mem_limit"] == "${CODE_MEMORY:-3g}"
    assert assignments(DEPLOY / "compose.env.example")["CODE_MEMORY"] == "3g"
    assert directives(SERVICES["code"], "MemoryMax") == ["3G"]
    assert {name for name, service in services.items() if "cap_add" in service} == {"proxy"}


def test_postgres_takes_the_options_of_its_container_and_asks_for_a_password(
    tmp_path: Path,
) -> None:
    """By the server's own program; it takes connections from nowhere."""
    service = COMPOSE["services"]["postgres"]
    assert "ports" not in service
    assert service["environment"]["POSTGRES_HOST_AUTH_METHOD"] == "scram-sha-256"
    options = service["environment"]["POSTGRES_INITDB_ARGS"].split()
    with placed([*options, "-U", "dagster", "--no-sync"]) as made:
        rules = (made.folder / "data" / "pg_hba.conf").read_text("utf-8")
    hosts = [line.split() for line in rules.splitlines() if line.startswith("host")]
    assert hosts
    assert {words[-1] for words in hosts} == {"scram-sha-256"}


PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
HASHED = sorted((DEPLOY / "requirements").glob("*.txt"))


@pytest.mark.parametrize("path", HASHED, ids=lambda path: path.name)
def test_what_production_installs_is_pinned_as_everywhere_and_has_hashes(path: Path) -> None:
    """Made by deploy/hashes.py, which is run again when a pin changes."""
    text = path.read_text("utf-8")
    packages = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)(.*?)\n(?=[\w#]|\Z)", text, re.M | re.S)
    assert len(packages) == len(re.findall(r"^\w", text, re.MULTILINE)) > 0
    assert all("--hash=sha256:" in rest for _, _, rest in packages)
    pins = {name.lower(): version for name, version in PINS.items()}
    # What only other systems need is in no environment of ours.
    elsewhere = re.compile(r"== '(win32|emscripten)'")
    ours = {n.lower(): v for n, v, rest in packages if not elsewhere.search(rest)}
    ours.pop("setuptools", None)
    assert {n: v for n, v in ours.items() if pins.get(n, pins.get(n.replace("-", "_"))) != v} == {}
    assert "://" not in text


def test_every_extra_that_a_team_may_want_has_its_hashes() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = set(extras["optional-dependencies"]) - {"dev"}
    assert {path.stem for path in HASHED} == wanted | {"run", "build"}
    direct = {re.match(r"[\w.-]+", text)[0] for text in extras["dependencies"]}
    run = (DEPLOY / "requirements" / "run.txt").read_text("utf-8")
    assert {name for name in direct if not re.search(rf"^{name}(\[.*\])?==", run, re.M)} == set()
    readme = (DEPLOY / "README.md").read_text("utf-8")
    assert readme.count("--require-hashes") >= 1
    assert "-r requirements/build.txt" in DOCKERFILE


def test_everything_copied_into_the_image_exists_and_is_let_through() -> None:
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    }
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert copied == {line[1:] for line in ignore if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.skipif(
    subprocess.run(["sh", "-c", "docker compose version"], capture_output=True).returncode != 0,
    reason="needs docker compose",
)
def test_docker_compose_reads_the_file(tmp_path: Path) -> None:
    for name in ("compose.yaml", "settings.env.example"):
        shutil.copy(DEPLOY / name, tmp_path / name.removesuffix(".example"))
    env = {**os.environ, "POSTGRES_PASSWORD": "x", "SESSIONS": "/srv/sessions"}
    command = ["docker", "compose", "--profile", "operator", "config", "--quiet"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True)


def test_every_variable_named_is_read_by_someone() -> None:
    for path in (COMMON, *SERVICES.values()):
        for text in directives(path, "Environment"):
            assert text.partition("=")[0] in OF_DAGSTER
    assert set(assignments(DEPLOY / "dagster.env.example")) == {"DAGSTER_POSTGRES_URL"}
    example = (DEPLOY / "settings.env.example").read_text("utf-8")
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert len(named) > 4
    assert named <= settings_read()
    assert read_settings(assignments(DEPLOY / "settings.env.example")).database.is_absolute()
    assert (
        set(re.findall(r"\b([A-Z][A-Z_]+)=/", DOCKERFILE)) - {"PATH"}
        <= settings_read() | OF_DAGSTER
    )
    for service in PIPELINE.values():
        assert set(service["environment"]) <= OF_DAGSTER
    given = set(assignments(DEPLOY / "compose.env.example"))
    taken = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    assert taken - {"EXTRAS", "PYTHON_IMAGE", "POSTGRES_IMAGE", "CADDY_IMAGE"} == given


def test_the_instance_is_that_of_the_clone_but_for_where_things_are_kept() -> None:
    ours, clone = (
        yaml.safe_load((folder / "dagster.yaml").read_text("utf-8")) for folder in (DEPLOY, ROOT)
    )
    assert set(ours) == set(clone)
    kept = {"storage", "compute_logs", "local_artifact_storage"}
    assert {k: v for k, v in ours.items() if k not in kept} == {
        k: v for k, v in clone.items() if k not in kept
    }


def test_every_file_that_the_instructions_name_exists() -> None:
    text = (DEPLOY / "README.md").read_text("utf-8")
    named = set(re.findall(r"(?:^|[\s'`])deploy/([\w./-]+\w)", text))
    assert len(named) > 5
    assert all((DEPLOY / name).exists() for name in named), named
    units = set(re.findall(r"session-pipeline-?\w*\.(?:service|target)", text))
    services = {f"session-pipeline-{name}.service" for name in ("operator", "code")}
    assert units == {"session-pipeline.target", *services}
    assert all((UNITS / name).exists() for name in units)
    # What the units read is what the instructions put there.
    read = {p for path in (COMMON, *SERVICES.values()) for p in directives(path, "EnvironmentFile")}
    assert all(f"-m 0600 deploy/{Path(p).name}.example {p}\n" in text for p in read), read


class Echo(http.server.BaseHTTPRequestHandler):
    """A web server that says whether it was given a password."""

    def answer(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers.get("Authorization")).encode())

    do_GET = do_POST = answer

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Caddyfile at work before a server that takes everything; the viewers' address."""
    folder, viewers, operators = tmp_path_factory.mktemp("caddy"), free_port(), free_port()
    shutil.copy(DEPLOY / "Caddyfile", folder / "sites")
    hashed = subprocess.run(
        [BIN / "caddy", "hash-password", "--plaintext", "secret"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (folder / "viewers.users").write_text(f"ann {hashed}\n")
    (folder / "operators.users").write_text(f"olga {hashed}\n")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\nimport sites\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        upstream = f"127.0.0.1:{server.server_port}"
        env = {
            "HOME": str(folder),
            "SESSIONS_SITE": f"http://127.0.0.1:{viewers}",
            "OPERATORS_SITE": f"http://127.0.0.1:{operators}",
            "SESSIONS_UPSTREAM": upstream,
            "OPERATORS_UPSTREAM": upstream,
            "REPORTS_FOLDER": str(folder / "reports"),
        }
        (folder / "reports").mkdir()
        for name in ("usage.html", "usage-person.html"):
            (folder / "reports" / name).write_bytes(b"None")
        with (folder / "log").open("wb") as log:
            command = [BIN / "caddy", "run", "--config", "Caddyfile"]
            caddy = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            stop = time.monotonic() + 60
            while status(f"http://127.0.0.1:{viewers}/") == 0:
                assert time.monotonic() < stop, (folder / "log").read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{viewers}"
        finally:
            caddy.terminate()
            caddy.wait(20)
            server.shutdown()


def status(url: str, user: str | None = "ann", method: str = "GET", **headers: str) -> int:
    """The status of an answer, 0 without one; `Sec_Fetch_Site="none"` sends such a header."""
    data = b"{}" if method == "POST" else None
    request = urllib.request.Request(url, data, method=method)  # noqa: S310  loopback
    if user:
        login = base64.b64encode(f"{user}:secret".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
            assert answer.read() == b"None", "the password goes no further than the proxy"
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (urllib.error.URLError, TimeoutError):
        return 0


def test_the_proxy_asks_for_a_password_and_keeps_it(site: str) -> None:
    assert status(f"{site}/", user=None) == 401
    assert status(f"{site}/", user="olga") == 401, "an operator is no viewer unless listed"
    assert status(f"{site}/") == 200


def test_the_proxy_serves_the_report_and_no_other_file(site: str) -> None:
    assert status(f"{site}/reports/usage.html", user=None) == 401
    assert status(f"{site}/reports/usage.html") == 200
    for path in ("", "other.html", "usage-person.html", "usage-person.htm%6c"):
        assert status(f"{site}/reports/{path}") == 404
    for path in ("../viewers.users", "%2e%2e/viewers.users", "..%2fviewers.users"):
        # Whoever answers, `status` sees that it is not with a user and a hash.
        assert status(f"{site}/reports/{path}") in {200, 400, 404}


def test_the_proxy_lets_the_ui_work(site: str) -> None:
    own = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
    assert status(f"{site}/graphql", method="POST", Origin=site, **own) == 200
    socket = {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": site}
    assert status(f"{site}/graphql", **socket) == 200
    typed = {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert status(f"{site}/runs/1", **typed) == 200
    assert status(f"{site}/runs/1", **{**typed, "Sec_Fetch_Site": "cross-site"}) == 200, "a link"
    assert status(f"{site}/graphql", method="POST") == 200, "a script with the password"


@pytest.mark.parametrize(
    ("path", "method", "headers", "refused"),
    [
        ("graphql", "POST", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}, 403),
        ("graphql", "POST", {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ("graphql?query=mutation", "GET", {"Sec_Fetch_Site": "cross-site"}, 403),
        (
            "graphql?query=mutation",
            "GET",
            {
                "Sec_Fetch_Site": "cross-site",
                "Sec_Fetch_Mode": "navigate",
                "Sec_Fetch_Dest": "document",
            },
            403,
        ),
        ("graphql?query=mutation", "GET", {"Sec_Fetch_Site": "none"}, 405),
        ("graphql/?query=mutation", "GET", {}, 405),
        ("%67raphql?query=mutation", "GET", {}, 405),
        ("graphql", "POST", {"Origin": "https://evil.example"}, 403),
        ("graphql", "POST", {"Origin": "null"}, 403),
        (
            "graphql",
            "GET",
            {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "https://evil.example"},
            403,
        ),
        (
            "runs",
            "GET",
            {
                "Sec_Fetch_Site": "cross-site",
                "Sec_Fetch_Mode": "navigate",
                "Sec_Fetch_Dest": "iframe",
            },
            403,
        ),
        ("", "POST", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 403),
    ],
)
def test_the_proxy_refuses_what_another_site_asks_for(
    site: str, path: str, method: str, headers: dict[str, str], refused: int
) -> None:
    assert status(f"{site}/{path}", method=method, **headers) == refused


def test_a_backup_waits_for_a_writer_and_holds_every_row(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    write_session(pipeline.root, "alice/s.jsonl", "one", "two")
    pipeline.run(EchoProcessor())
    before = pipeline.rows()
    copy = tmp_path / "copy.duckdb"
    writing = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); "
        "print(flush=True); time.sleep(1)"
    )
    database = pipeline.settings.database
    with subprocess.Popen(
        [sys.executable, "-c", writing, database], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        subprocess.run([sys.executable, DEPLOY / "backup.py", database, copy], check=True)
        assert writer.poll() is not None
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.duckdb"]
    with duckdb.connect(copy, read_only=True) as restored:
        assert restored.execute("FROM echo_rows ORDER BY ALL").fetchall() == before


def test_a_backup_holds_what_a_killed_writer_left_in_its_log(tmp_path: Path) -> None:
    database, copy = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    killed = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); "
        "c.execute('CREATE TABLE t AS SELECT 7 AS n'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", killed, database], check=False)
    assert Path(f"{database}.wal").exists()
    subprocess.run([sys.executable, DEPLOY / "backup.py", database, copy], check=True)
    with duckdb.connect(copy, read_only=True) as restored:
        assert restored.execute("FROM t").fetchall() == [(7,)]


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/dagster.yaml"])
def test_a_backfill_over_400_days_has_time_to_write_what_it_plans(file: str) -> None:
    """Three assets, 0.13 s an event on a busy machine; and as much time again."""
    monitoring = yaml.safe_load((ROOT / file).read_text("utf-8"))["run_monitoring"]
    planned = 400 * 3 * 0.13
    assert 2 * planned < monitoring["start_timeout_seconds"] < monitoring["max_runtime_seconds"]
