"""What a sentence of the assistant is: something claimed, something done, or neither."""

import re
from enum import Enum

from session_pipeline_dagster.processors.verification.detection.sentences import Sentence, sentences
from session_pipeline_dagster.processors.verification.detection.statements import QUESTION

_PLAN = re.compile(
    r"(?:i'll|i will|i'm (?:going|about|starting|building|adding)|i am|let me|here(?:'s| is| are)"
    r"|shall|ready|done|okay|ok\b|thanks|understood|noted|sure)\b"
)
_DID = re.compile(
    r"(?:i(?:'ve| have)?|it|that|done|both|all) ?(?:\w+ly |just |now |also )?"
    r"(?:updated|added|created|removed|fixed|changed|renamed|moved|deleted|wrote|written|ran|built"
    r"|refactored|committed|pushed|deployed|installed|reverted|merged|restarted|finished|reduced"
    r"|increased|replaced|cleaned|made|tested)\b"
)


class Claim(Enum):
    """What can be contradicted in what the assistant said."""

    NONE = 0
    DONE = 1  # it did something
    STATED = 2  # it said that something is so, or went by it


def claim_of(line: Sentence) -> Claim:
    """What a sentence of the assistant claims."""
    text = line.lower
    if line.question or QUESTION.match(text) or _PLAN.match(text):
        return Claim.NONE
    if _DID.match(text):
        return Claim.DONE
    return Claim.STATED if len(text.split()) > 2 else Claim.NONE


def strongest_claim(text: str) -> Claim:
    """The strongest of what a text of the assistant claims; read as far as that is open."""
    found = Claim.NONE
    for line in sentences(text):
        claim = claim_of(line)
        if claim is Claim.STATED:
            return claim
        found = found if claim is Claim.NONE else claim
    return found
