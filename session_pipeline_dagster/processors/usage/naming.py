"""What rows call things: names as they are stored, and what is taken from one for another."""

import re
from collections.abc import Mapping

import xxhash

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import LONGEST, short
from session_pipeline_dagster.processors.usage.rows import Inputs
from session_pipeline_dagster.transcripts.records import Transcript

NAME_LENGTH = 16
"""Of a line's digest, the part that says its name."""
_PROVIDERS: Mapping[str, str] = {"msg_bdrk_": "aws", "msg_vrtx_": "google"}
_MARK = 9
_NOT_IN_A_FOLDER_NAME = re.compile(r"[^A-Za-z0-9]")


def project_of(session: Session) -> str | None:
    """The project folder; without one in the path, as Claude Code names the working folder."""
    if session.project is not None:
        return session.project
    folder = working_folder(session.transcript)
    return _NOT_IN_A_FOLDER_NAME.sub("-", folder) if folder else None


def working_folder(transcript: Transcript) -> str | None:
    """Where the session began to work."""
    found = (r.cwd for r in transcript.records if r.cwd is not None and r.session_id)
    return next(found, None)


def provider_of(message_id: str | None, default: str) -> str:
    """Who served a response, as the price library calls them."""
    return default if message_id is None else _PROVIDERS.get(message_id[:_MARK], default)


def evidence(name: str, us: int, said: Inputs | str = "") -> str:
    """What two people must share to hold the same line, as a digest: copying changes neither its
    name nor its time, nor what it says. `NAME_LENGTH` characters of it are the name's."""
    of_name = xxhash.xxh3_64_hexdigest(name.encode("utf-8", "surrogatepass"))
    if isinstance(said, str):
        told = b"%d %b" % (us, said.encode())
    else:
        told = b"%d (%d, %d, %d)" % (us, *said)
    return of_name + xxhash.xxh3_64_hexdigest(told)[:8]


def cut(name: str | None) -> str | None:
    """A name as it is stored; see `names.short`."""
    return name if name is None or len(name) <= LONGEST else short(name)


def given_name(given: Mapping[str, object], field_name: str) -> str | None:
    """The name that a tool was given in a field, if it is one."""
    value = given.get(field_name)
    return short(value) if isinstance(value, str) and value else None


def plugin_of(name: str | None) -> str | None:
    """The plugin in `plugin:name`."""
    return name.partition(":")[0] if name and ":" in name else None


def said(text: str) -> str:
    """A digest of what a person wrote."""
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))
