"""`python -m benchmarks.redaction`: what taking secrets out of a text costs, and what it finds."""

import random
import string
import time

from benchmarks.detection import read
from session_pipeline_dagster.processors.verification.redaction import redact

_TURN = 3000
_MB = 1_000_000
_RANDOM = {
    "base62": string.ascii_letters + string.digits,
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
    "base36": string.ascii_lowercase + string.digits,
    "base32": string.ascii_lowercase + "234567",
    "hex": string.digits + "abcdef",
}
# Text that was made to keep as many rules as possible at work.
_HOSTILE = ("token:", "key ", 'key="', "zip -P", "://", "password=", "aB3dE5fG7hI9jK1lM2nO4pQ6 ")


def ordinary() -> str:
    """The texts of the labelled turns, over and over, with code and paths between them."""
    turns = [*read("tune"), *read("measured")]
    code = "`src/session_pipeline/reader.py`: `read_records(path, limit=20)` -> 7d4b9c6f5d\n"
    texts = [f"{turn.assistant or ''}\n{turn.user}\n{code}" for turn in turns]
    return "\n".join(texts * (_MB // sum(map(len, texts)) + 1))


def seconds(text: str, size: int) -> float:
    """Processor time for a megabyte of it, in pieces of so many characters."""
    begun = time.process_time()
    for at in range(0, len(text), size):
        redact(text[at : at + size])
    return (time.process_time() - begun) / len(text) * _MB


def main() -> None:
    """Print all of it."""
    text = ordinary()
    print(f"ordinary turns of {_TURN} characters: {seconds(text, _TURN):.2f} s/MB")
    for unit in _HOSTILE:
        made = unit * (_MB // 4 // len(unit))
        print(f"{unit!r} over and over: {seconds(made, len(made)):.2f} s/MB")
    rng = random.Random(7)
    for name, letters in _RANDOM.items():
        shares = []
        for size in (24, 32, 48):
            tokens = ["".join(rng.choices(letters, k=size)) for _ in range(2000)]
            gone = sum(token not in redact(f"it is {token} there") for token in tokens)
            shares.append(f"{size}: {100 * gone / len(tokens):.1f} %")
        print(f"random {name} that goes, by its length: {', '.join(shares)}")


if __name__ == "__main__":
    main()
