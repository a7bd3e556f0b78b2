"""The check `unread_files`: files of agents that have no reader, by agent.

They count nowhere, and nothing is wrong with them: so it is an info, and one for all processors.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.sources.files import LeftOut
from session_pipeline_dagster.store.states import FileState
from session_pipeline_dagster.transcripts.looks import NO_AGENT, agent_of, worded

UNREAD = "unread_files"
ABOUT = (
    "Every session file is of an agent that has a reader. It passes otherwise, too; its text then "
    "begins with `info:` and says how many files there are of which agent."
)


def by_agent(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How many files there are of each agent that no reader claims, most first."""
    found = Counter[str]()
    for left in left_out:
        if (agent := agent_of(left.reason)) is not None:
            found[agent] += left.documents or 1
    return dict(sorted(found.items(), key=lambda one: (one[0] == NO_AGENT, -one[1], one[0])))


def unclaimed(states: Iterable[FileState]) -> list[LeftOut]:
    """What was left out because no reader claims it, each file once, in their order."""
    found = {state.session_file: state.left_out for state in states if state.left_out}
    return [LeftOut(key, why) for key, why in sorted(found.items())]


def unread_files(unread: Mapping[str, int]) -> Finding:
    """Says how many files of which agents nobody reads."""
    numbers = {UNREAD: sum(unread.values())}
    if not unread:
        detail = "every session file is of an agent that has a reader"
        return Finding(UNREAD, Status.OK, detail, numbers)
    detail = (
        f"{worded(unread)}: no reader is installed for them, so they are in no number. "
        "`session-pipeline status` lists them"
    )
    return Finding(UNREAD, Status.INFO, detail, numbers)
