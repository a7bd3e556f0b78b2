"""People whose every name is a word that stands nowhere else, their sessions, and a plugin that
says all it knows of them wherever it can."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from conversations import FACT
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.contract.registry import Registry, load_processors
from session_pipeline_dagster.errors import Permanent, Retryable
from session_pipeline_dagster.plugins import FailedPlugin
from session_pipeline_dagster.testing.builder import SessionBuilder

USER, PART, ODD, FAR = "zorblaxia", "zorb", "Qw.+(flim)*$[snark]", "Жуковинка"
LOST, REVIEWER, INSTALLER = "vanishlonia", "approvulus", "installopod"
PROJECT, ELSEWHERE = "-home-zorblaxia-Fnordprojekt", "-srv-wibblestone"
SESSION, TWIN = "gnarfle17", "plonkwood4"
CWD, BRANCH, EMAIL = (
    "/home/quibbler/Grumwick Two/shop",
    "drumbolt/hidden-fix",
    "mxy@snarkle.example",
)
BUDGET = f"{USER} monthly"
WORDS = (
    *(USER, PART, ODD, FAR, LOST, REVIEWER, INSTALLER),
    *("Fnordprojekt", "wibblestone", SESSION, TWIN),
    *("quibbler", "Grumwick", "drumbolt", "hidden-fix", "snarkle"),
)
"""None of them is shown where people are hidden."""
WRONG = "wrong"


def spellings(word: str) -> set[bytes]:
    """The word as it may stand in a file: as it is, in JSON, in a URL."""
    return {form.encode() for form in (word, json.dumps(word)[1:-1], quote(word))}


def found_in(content: bytes) -> set[str]:
    """The words that stand there."""
    return {word for word in WORDS if any(form in content for form in spellings(word))}


class NosyProcessor:
    """Fails over files as their names say, and names people in all that it says."""

    name, version, cadence = "nosy", 1, timedelta(seconds=60)
    tables: Mapping[str, str] = {"nosy_rows": "session_file VARCHAR, username VARCHAR, cwd VARCHAR"}

    def process(self, session: Session) -> ProcessorResult:
        said = (
            f"{session.key}: line 3 of {session.stem} ({session.project}) by {session.user} is odd;"
            f" cwd {CWD}, branch {BRANCH}, <{EMAIL}>; see /srv/{session.key}"
        )
        if "permanent" in session.key:
            raise Permanent(said)
        if "later" in session.key:
            raise Retryable(said)
        if "bug" in session.key:
            raise ValueError(said)
        return ProcessorResult({"nosy_rows": [(session.key, session.user, CWD)]}, 1)

    @property
    def quality(self) -> tuple[Quality, ...]:
        about = "Says whom it has seen."
        return (
            Quality("nosy_people", "nosy_rows", about, _people, glance=True),
            Quality("nosy_crash", "nosy_rows", about, _crash),
        )


def _people(data: Data) -> Measured:
    rows = data.select("SELECT username, session_file, cwd FROM nosy_rows ORDER BY ALL")
    listed = [{"person": str(u), "session": str(s), "cwd": str(c), "n": 1} for u, s, c in rows]
    said = "; ".join(f"{row['person']} in {row['session']}, {row['cwd']}" for row in listed)
    occasions = {f"first of {row['session']}": "warning" for row in listed}
    return Measured(len(listed), {"rows": len(listed)}, listed, said, "", occasions)


def _crash(_: Data) -> Measured:
    raise Permanent(f"/srv/{USER}/{PROJECT} of {EMAIL} cannot be measured")


def registry() -> Registry:
    """What is installed, the plugin, and one that could not be loaded."""
    installed = load_processors()
    error = f"ImportError: cannot import name 'x' (/home/{INSTALLER}/lib/x.py)"
    failed = FailedPlugin("broken", "broken:Plugin", error)
    return Registry((*installed.processors, NosyProcessor()), (failed,))


@dataclass(frozen=True, slots=True)
class Tree:
    """Their sessions in a folder, and files of settings that name them."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "sessions"

    def make(self) -> "Tree":
        """Old files that fail, newer ones that do not, one with many odd lines."""
        old, new = timedelta(days=3), timedelta(hours=2)
        for number, (user, kind) in enumerate(
            [(USER, "permanent"), (ODD, "later"), (FAR, "bug"), (PART, "permanent")]
        ):
            self._write(f"{user}/{PROJECT}/{SESSION}-{kind}.jsonl", self._session(number), old)
        fine = self._session(9, facts=True)
        # The same lines of two people, and a session that costs something.
        self._write(f"{USER}/{PROJECT}/{TWIN}.jsonl", fine, new)
        self._write(f"{FAR}/{ELSEWHERE}/{TWIN}.jsonl", fine, new)
        odd = self._session(10)
        for number in range(200):
            odd.line(json.dumps({"type": f"new-{number % 2}", "cwd": CWD}).encode())
            odd.line(f'{{"cut": "{CWD} {EMAIL}'.encode())
        self._write(f"{ODD}/{ELSEWHERE}/{TWIN}-odd.jsonl", odd, new)
        self._write(f"{LOST}/{PROJECT}/{SESSION}.jsonl", self._session(11), new)
        (self.root / f"{USER}.jsonl").write_text("{}\n")
        # Of agents that have no reader, by what it says and by its name.
        pi = {"type": "session", "id": SESSION, "timestamp": "2026-01-01T00:00:00Z", "cwd": CWD}
        (self.root / USER / PROJECT / f"{SESSION}-pi.jsonl").write_text(f"{json.dumps(pi)}\n")
        (self.root / USER / ELSEWHERE).mkdir(exist_ok=True)
        (self.root / USER / ELSEWHERE / "ses_1a.json").write_text(EMAIL)
        (self.root / PART / f"{SESSION}-link.jsonl").symlink_to(self.root / f"{USER}.jsonl")
        wrong = self.folder / WRONG / PROJECT / "s.jsonl"
        wrong.parent.mkdir(parents=True)
        wrong.write_bytes(self._session(12).content)
        (self.folder / "budgets.toml").write_text(
            f'[[budget]]\nname = "{BUDGET}"\nscope = "person:{USER}"\nperiod = "month"\n'
            "amount = 0.01\n",
            "utf-8",
        )
        seat = f'[[seat]]\nperson = "{USER}"\nplan = "max"\nprice = 9\nfrom = 2026-01-01\n'
        (self.folder / "seats.toml").write_text(2 * seat, "utf-8")
        return self

    def environment(self, mode: str, database: Path) -> dict[str, str]:
        """The settings of a mode."""
        return {
            "SESSION_DATA_DIR": str(self.root),
            "SESSION_PIPELINE_DATABASE": str(database),
            "SESSION_PIPELINE_PEOPLE": mode,
            "SESSION_PIPELINE_ON_DELETE": "purge",
            "SESSION_PIPELINE_BUDGETS": str(self.folder / "budgets.toml"),
            "SESSION_PIPELINE_SEATS": str(self.folder / "seats.toml"),
            "SESSION_PIPELINE_SPIKE_USD": "0.0001",
            "SESSION_PIPELINE_ALERT_DELAY_SECONDS": "0.001",
            "SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS": "60",
            "SESSION_PIPELINE_WORKERS": "1",
            "SESSION_USER": REVIEWER,
            "COLUMNS": "300",
        }

    def _session(self, number: int, *, facts: bool = False) -> SessionBuilder:
        now = datetime.now(UTC) - timedelta(hours=3)
        more = {"gitBranch": BRANCH, "userEmail": EMAIL}
        made = SessionBuilder(f"{SESSION}-{number}", start=now, cwd=CWD)
        made.prompt("Hello", **more).response("The rate is that of today.", output_tokens=9000)
        return made.prompt(FACT, **more) if facts else made

    def _write(self, key: str, session: SessionBuilder, ago: timedelta) -> None:
        path = session.write(self.root, key)
        at = (datetime.now(UTC) - ago).timestamp()
        os.utime(path, (at, at))
