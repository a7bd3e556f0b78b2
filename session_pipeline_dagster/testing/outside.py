"""What a processor may not depend on: the clock, the environment, and the process it runs in.

`asked` watches one call; `elsewhere` makes the same call in another process, in another place.
"""

import pickle
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.testing.pipeline import session_of

_CLOCKS = frozenset(
    "time.time time.time_ns datetime.now datetime.utcnow datetime.today date.today".split()
)
_LOOKS_UP = ("os", "collections.abc")
# A zone that needs no zone files, and another order in every set of texts.
_ELSEWHERE = ("TZ=ELSE-14", "PYTHONHASHSEED=4242", "LC_ALL=C", "HOME=/", "USER=somebody-else")


@contextmanager
def asked(package: str) -> Generator[list[str]]:
    """What code of a package asks the clock or the environment for: `where asks what`.

    Only calls that the package makes itself: a library that logs a time changes no row.
    """
    found: list[str] = []

    def watch(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call":
            name = _name(function)
            if name in _CLOCKS and _package(frame) == package:
                found.append(f"{_place(frame)} asks {name}()")
        elif event == "call" and frame.f_code.co_qualname.startswith("_Environ."):
            caller = frame.f_back
            while caller and caller.f_globals.get("__name__") in _LOOKS_UP:
                caller = caller.f_back
            if caller and _package(caller) == package:
                found.append(f"{_place(caller)} reads the environment")

    if sys.getprofile() is not None:
        # Someone profiles the tests; there is room for one only.
        yield found
        return
    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)


def elsewhere(processor: Processor, content: bytes, folder: Path) -> Mapping[str, Sequence[Row]]:
    """The processor's rows for a file, made by another process.

    It has another time zone, home, user and folder, and another order in sets.

    Raises:
        ContractError: the processor cannot get there, or fails there; with what it said.
    """
    asked_for, answer = folder / "asked.pickle", folder / "answer.pickle"
    asked_for.write_bytes(pickle.dumps((pickle.dumps(processor), content)))
    paths = [str(Path(path).absolute()) for path in sys.path]
    program = f"import sys; sys.path[:] = {paths!r}; from {__name__} import answer; answer()"
    done = subprocess.run(  # noqa: S603  our own interpreter
        ["/usr/bin/env", *_ELSEWHERE, sys.executable, "-c", program, asked_for, answer],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ContractError((done.stderr.strip().splitlines() or ["it died"])[-1])
    return pickle.loads(answer.read_bytes())  # noqa: S301  written by the line above


def answer() -> None:
    """What the other process does: process the file, write the rows down."""
    asked_for, answer = map(Path, sys.argv[1:])
    encoded, content = pickle.loads(asked_for.read_bytes())  # noqa: S301  written by `elsewhere`
    processor: Processor = pickle.loads(encoded)  # noqa: S301  see above
    answer.write_bytes(pickle.dumps(dict(processor.process(session_of(content)).rows)))


def _name(function: object) -> str:
    owner = getattr(function, "__self__", None)
    kind = owner.__name__ if isinstance(owner, type) else getattr(function, "__module__", "")
    return f"{kind}.{getattr(function, '__name__', '')}"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
