"""The reports' own server: what it gives out, to whom, and beside which Dagster it stands."""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from session_pipeline_dagster.orchestration.dev import serve_reports
from session_pipeline_dagster.orchestration.pages import ReportServer

PAGE, PICTURE = b"<p>a page</p>", b"\x89PNG"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    """A folder of reports, with what must not be given out in it and beside it."""
    folder = tmp_path / "reports"
    (folder / "deep.html").mkdir(parents=True)
    (folder / "deep.html" / "usage.html").write_bytes(b"secret")
    (folder / "usage.html").write_bytes(PAGE)
    (folder / "usage.png").write_bytes(PICTURE)
    (folder / "team-costs_2.html").write_bytes(PAGE)
    # With capitals it is what a disk that does not tell letters apart would give out.
    for name in ("usage-person.html", "USAGE-Person.html", ".usage.html", "notes.txt"):
        (folder / name).write_bytes(b"secret")
    (tmp_path / "other.html").write_bytes(b"secret")
    (folder / "link.html").symlink_to(tmp_path / "other.html")
    os.mkfifo(folder / "pipe.html")
    with ReportServer(folder, 0) as made:
        made.start()
        yield made
        made.shutdown()


def answer(
    server: ReportServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Status, body and headers. The path goes out as it is."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as asked:
        asked.putrequest(method, path, skip_host=True)
        asked.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        asked.endheaders()
        got = asked.getresponse()
        return got.status, got.read(), got.headers


def test_a_report_and_its_picture_are_given_out_and_nothing_loads_or_frames_them(
    server: ReportServer,
) -> None:
    status, body, headers = answer(server, "/usage.html")
    assert (status, body) == (200, PAGE)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Python" not in headers["Server"]
    assert answer(server, "/usage.png")[:2] == (200, PICTURE)
    assert answer(server, "/team-costs_2.html")[:2] == (200, PAGE)
    status, body, headers = answer(server, "/usage.html", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(PAGE)))
    assert answer(server, "/usage.html", host=f"localhost:{server.server_port}")[0] == 200


def test_nothing_else_is_given_out(server: ReportServer) -> None:
    others = """/ /usage-person.html /USAGE-Person.html /.usage.html /notes.txt /link.html
        /pipe.html /deep.html /deep.html/usage.html /../other.html /%2e%2e/other.html
        /..%2fother.html
        /usage.html/ /usage.html? /usage.html?x=1 /usage.html%00 /missing.html /USAGE.HTML
        /./usage.html /reports/usage.html
        http://127.0.0.1/usage.html /\\usage.html usage.html""".split()
    for path in others:
        status, body, _ = answer(server, path)
        assert (status, b"secret" in body, PAGE in body) == (404, False, False), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert answer(server, "/usage.html", method)[0] == 501, method


def test_a_site_whose_name_leads_here_reads_nothing(server: ReportServer) -> None:
    port = server.server_port
    for host in (f"evil.example:{port}", "127.0.0.1", "localhost", f"127.0.0.1:{port + 1}"):
        status, body, _ = answer(server, "/usage.html", host=host)
        assert (status, PAGE in body) == (421, False), host


def test_it_listens_on_this_machine_only(server: ReportServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_dagster_is_told_the_address_unless_somebody_serves_the_reports_or_the_port_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SESSION_PIPELINE_REPORT_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        below = port - 1000
        assert serve_reports(below) == []
        assert f"port {port} cannot be had" in capsys.readouterr().out
    address = f"http://127.0.0.1:{port}"
    assert serve_reports(below) == ["env", f"SESSION_PIPELINE_REPORT_URL={address}"]
    (tmp_path / "usage.html").write_bytes(PAGE)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as asked:
        asked.request("GET", "/usage.html")
        assert asked.getresponse().read() == PAGE
    monkeypatch.setenv("SESSION_PIPELINE_REPORT_URL", "https://sessions.example.org/reports")
    assert serve_reports(below) == []
    monkeypatch.setenv("SESSION_PIPELINE_REPORT_URL", "no address")
    assert serve_reports(below) == []
    assert capsys.readouterr().out == ""
