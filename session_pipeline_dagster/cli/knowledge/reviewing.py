"""A review in the terminal: one question at a time, each decision written before the next."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from rich.console import Console

from session_pipeline_dagster.cli.knowledge import card, deciding
from session_pipeline_dagster.cli.knowledge.keys import Answers
from session_pipeline_dagster.errors import ContractError, StoreBusy
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.processors.verification.detection.extractor import (
    CONFIRMATION,
    CORRECTION,
    DEFINITION,
)
from session_pipeline_dagster.processors.verification.knowledge import labels
from session_pipeline_dagster.processors.verification.knowledge.candidates import similar
from session_pipeline_dagster.processors.verification.knowledge.decisions import (
    Choice,
    Done,
    Overtaken,
    Reviewer,
    Unknown,
)
from session_pipeline_dagster.processors.verification.knowledge.heard import Exchange, Heard
from session_pipeline_dagster.processors.verification.knowledge.questions import Question, Questions
from session_pipeline_dagster.store.database import Store

_TYPES = (CORRECTION, CONFIRMATION, DEFINITION)
_PLAIN = {"a": labels.APPROVED, "r": labels.REJECTED, "s": labels.SKIPPED}


@dataclass(slots=True)
class _Asked:
    """The question on the screen, and what was changed of it before it is decided."""

    question: Question
    exchange: Exchange | None
    like: Mapping[str, str]
    kind: str | None = None


class Reviewing:
    """One sitting of one person."""

    def __init__(
        self,
        store: Store,
        by: Callable[[], Reviewer],
        heard: Heard,
        console: Console,
        answers: Answers,
        veil: Veil | None = None,
    ) -> None:
        self._store, self._by, self._heard = store, by, heard
        self._console, self._answers, self._veil = console, answers, veil or Veil()
        self._done: list[tuple[Question, Done]] = []
        self._put_off: set[str] = set()

    @property
    def made(self) -> Mapping[str, int]:
        """How many decisions of each kind there are."""
        return Counter(done.labels[0].decision for _, done in self._done if done.labels)

    def ask(self, open_: Iterable[Question], found: Questions) -> bool:
        """Ask one after the other; whether the person came to the end."""
        waiting, answered = deque(open_), 0
        while waiting:
            question = waiting.popleft()
            if self._is_decided(question):
                continue
            asked = _Asked(
                question,
                self._heard.around(question.line),
                {key: found.standing[key] for key in found.like(question)},
            )
            place = f"{answered + 1} of {answered + 1 + len(waiting)}"
            card.show(self._console, question, asked.exchange, asked.like, place, self._veil)
            ending = self._answered(asked, found)
            if ending == "q":
                return False
            if ending == "u":
                undone = self._undo()
                rest = [q for q in waiting if undone is None or q.id != undone.id]
                waiting = deque([*([undone] if undone else []), question, *rest])
                answered -= bool(undone)
                continue
            answered += 1
            if ending == "s" and question.id not in self._put_off:
                # Once more at the end; then it is for another day.
                self._put_off.add(question.id)
                waiting.append(question)
        return True

    def _answered(self, asked: _Asked, found: Questions) -> str:
        """Read keys until the question is decided; the key that did it."""
        while True:
            card.show_keys(self._console, len(asked.like))
            key = self._answers.key()
            if key is None:
                return "q"
            if key in ("q", "u"):
                return key
            choice = self._choice(key, asked, found)
            if choice and self._decide(asked.question, choice):
                return key

    def _choice(self, key: str, asked: _Asked, found: Questions) -> Choice | None:
        """What a key decides; None where it only shows something."""
        choice = Choice(asked.question.id, "", detection_type=asked.kind, first=True)
        likes = dict(zip("123", asked.like, strict=False))
        if key in _PLAIN:
            return replace(choice, decision=_PLAIN[key])
        if key in likes:
            return replace(choice, decision=labels.SAME, other=likes[key])
        if key == "e":
            content = self._answers.words("The fact, in your words: ", asked.question.content)
            return replace(choice, decision=labels.EDITED, content=content) if content else None
        if key == "=":
            other = self._answers.words("The same as (id, or words to look for): ")
            if other.startswith("kv_"):
                return replace(choice, decision=labels.SAME, other=other)
            near = similar(other, found.standing) if other else ()
            asked.like = {key: found.standing[key] for key in near if key != asked.question.id}
            card.show_like(self._console, asked.like)
            if not asked.like:
                self._console.print("No item is like that")
        elif key == "t":
            self._next_type(asked)
        elif key == "v":
            card.show_whole(self._console, asked.exchange)
        else:
            card.show_help(self._console)
        return None

    def _next_type(self, asked: _Asked) -> None:
        now = asked.kind or asked.question.detected.observation.detection_type
        at = _TYPES.index(now) + 1 if now in _TYPES else 0
        asked.kind = _TYPES[at % len(_TYPES)]
        self._console.print(f"As a {asked.kind.removeprefix('unprompted_')}")

    def _decide(self, question: Question, choice: Choice) -> bool:
        """Write it; whether the question is done with."""
        try:
            done = deciding.decide(self._store, [choice], self._by(), self._veil)
        except Overtaken as error:
            self._say(str(error))
            return True
        except (ContractError, StoreBusy) as error:
            self._say(str(error))
            # Its detection was read again and is no more.
            return isinstance(error, Unknown) and choice.other is None
        self._done.append((question, done))
        about = done.items.get(question.id)
        self._say(choice.decision + (f": {about}" if about and about != question.id else ""))
        return True

    def _undo(self) -> Question | None:
        if not self._done:
            self._say("there is nothing to take back")
            return None
        question, done = self._done.pop()
        try:
            deciding.take_back(self._store, done)
        except (ContractError, StoreBusy) as error:
            self._say(str(error))
            return None
        self._put_off.discard(question.id)
        self._say("taken back")
        return question

    def _is_decided(self, question: Question) -> bool:
        """Whether somebody else was there meanwhile."""
        if question.is_item:
            sql = "SELECT id FROM knowledge_items WHERE status <> 'pending'"
        else:
            sql = "SELECT detection_key FROM knowledge_labels WHERE decision <> 'skipped'"
        return (question.id,) in self._store.query(sql)[0][1]

    def _say(self, text: str) -> None:
        self._console.print(printable(text), soft_wrap=True)
