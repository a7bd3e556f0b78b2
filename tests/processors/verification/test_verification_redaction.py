"""Secrets are taken out, look-alikes stay, twice is once, and long texts take no longer."""

import random
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from session_pipeline_dagster.processors.verification.redaction import redact

_SOURCE = random.Random(5)  # noqa: S311  made-up secrets


def some(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(_SOURCE.choices(letters, k=count))


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
SECRETS = [
    (f"sk-ant-api03-{some(40)}", "{}"),
    (f"sk-proj-{some(40)}", "{}"),
    (f"sk-{some(48)}", "{}"),
    (f"AKIA{some(16, UPPER)}", "{}"),
    (some(40), "aws_secret_access_key = {}"),
    (some(40), "AWS_SECRET_ACCESS_KEY={}"),
    (f"ghp_{some(36)}", "{}"),
    (f"github_pat_{some(22)}_{some(59)}", "{}"),
    (f"glpat-{some(20)}", "{}"),
    (f"xoxb-{some(12, string.digits)}-{some(24)}", "{}"),
    (f"T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}", "https://hooks.slack.com/services/{}"),
    (f"AIza{some(35)}", "{}"),
    (f"ya29.{some(60)}", "{}"),
    (f"GOCSPX-{some(28)}", "{}"),
    (f"eyJ{some(30)}.eyJ{some(60)}.{some(43)}", "{}"),
    (f"sk_live_{some(24)}", "{}"),
    (f"whsec_{some(32)}", "{}"),
    (f"npm_{some(36)}", "{}"),
    (f"pypi-AgEIcHlwaS5vcmc{some(60)}", "{}"),
    (f"hf_{some(34)}", "{}"),
    (f"SG.{some(22)}.{some(43)}", "{}"),
    (f"AC{some(32, HEX)}", "{}"),
    (f"{some(9, string.digits)}:AA{some(33)}", "{}"),
    (f"dop_v1_{some(64, HEX)}", "{}"),
    (f"dapi{some(32, HEX)}", "{}"),
    (f"hvs.{some(24)}", "{}"),
    (f"1234-56789-{some(40)}", "{}"),
    (f"{some(14)}.atlasv1.{some(60)}", "{}"),
    (f"gsk_{some(50)}", "{}"),
    (f"ATATT3xFfGF0{some(60)}", "{}"),
    (some(30), "Authorization: Bearer {}"),
    (some(24), "Authorization: Basic {}="),
    ("s3cr3t-Pa55", "postgresql://app:{}@db.example.org:5432/shop"),
    ("hunter2!", "password: {}"),
    ("correcthorse", "password={}"),
    ("hunter2hunter2", "the password is in the config: password = '{}'"),
    (some(20), 'api_key: "{}"'),
    (some(20), '{{"client_secret": "{}"}}'),
    (some(20), "export DB_TOKEN={}"),
    (some(44, string.ascii_letters + string.digits + "+/"), "AccountKey={}=="),
    (some(32), "https://x.blob.core.windows.net/c?sv=2022&sig={}&se=1"),
    ("Tr0ub4dor3", "mysqldump --password={} shop"),
    ("alice77pass", "curl -u alice:{} https://example.org"),
    (
        f"MIIEow{some(60)}\n{some(64)}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    ),
    (f"b3BlbnNz{some(60)}", "-----BEGIN OPENSSH PRIVATE KEY-----\n{}"),
    (f"AGE-SECRET-KEY-1{some(58, UPPER)}", "{}"),
]
LOOK_ALIKES = [
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixed it",
    "session 0fb65bc7-c990-4108-935e-1cdd1b9dffee",
    "max_tokens=4096, input_tokens: 12034, token count: 77",
    "password = os.environ['DB_PASSWORD']",
    "api_key: ${{ secrets.API_KEY }} and token=$TOKEN",
    "the password: must have 12 characters and a digit",
    "our secret: we reconcile every Sunday",
    "sha512-9Zs2mG1VVf+1x2bV3q0eYh0a integrity hash of a package",
    "see https://example.org/docs/auth/tokens#refresh-token for the flow",
    "the primary key: customer_id, the foreign key: order_id",
    "task-risk-desk-list-of-all-things-to-do-first",
    "s3://bucket/2026/03/10/part-00000-of-00128.parquet",
    "author: Ana Maria Lopez Garcia, reviewed by bob",
    "The token bucket holds 100 tokens per minute.",
    "basic authentication and bearer authentication are both fine",
    "ratio 12:30:45 and 2026-03-10T12:00:00.000Z",
]


@pytest.mark.parametrize(("secret", "around"), SECRETS, ids=lambda v: v[:18])
def test_a_secret_is_taken_out_wherever_it_stands(secret: str, around: str) -> None:
    for text in (around.format(secret), f"use {around.format(secret)}\nthen go on", f"({secret})"):
        if text == f"({secret})" and around != "{}":
            continue
        found = redact(text)
        assert secret not in found
        assert "[REDACTED:" in found
        assert redact(found) == found


def test_what_stands_around_a_secret_stays() -> None:
    assert redact("DB_PASSWORD=hunter22 is old") == "DB_PASSWORD=[REDACTED:password] is old"
    assert redact("x https://a:b12@h/p y") == "x https://[REDACTED:userinfo]@h/p y"


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact(text) == text


_PIECES = st.sampled_from(
    [secret for secret, _ in SECRETS]
    + [around for _, around in SECRETS]
    + [
        "password",
        "=",
        ":",
        " ",
        "@",
        "://",
        "[REDACTED:jwt]",
        "[REDACTED:",
        "]",
        "sk-",
        "eyJ",
        ".",
    ]
    + ['"', "'", "\n", "a1", "Bearer ", "token", "--password", "-u a:", "secret_", "key"]
)


@settings(max_examples=400, deadline=None)
@example([f"sk-{'a1' * 12}9", f":AA{'b2' * 17}"])
@given(st.lists(_PIECES | st.text(max_size=6), max_size=12))
def test_redacting_twice_is_redacting_once(pieces: list[str]) -> None:
    once = redact("".join(pieces))
    assert redact(once) == once


@pytest.mark.parametrize(
    "unit",
    """eyJ|sk-|a.|password|password=|://|://a:|-----BEGIN |SG.|1-|key |xox|token:|glpat-|bearer |AC0
    |&sig=|-----BEGIN RSA PRIVATE KEY-----|dp.st.|-u a|--token |secret_|x|MMMMMMMMMMMMMMMMMMMMMMM.
    |aaaaaaaaaaaaa.atlasv1.""".replace("\n    ", "").split("|"),
)
def test_the_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    # Quadratic time would be minutes.
    assert seconds(1_000_000) < 3
