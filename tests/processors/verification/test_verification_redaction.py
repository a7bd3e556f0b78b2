"""Secrets are taken out, look-alikes stay, twice is once, and long texts take no longer."""

import json
import random
import re
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from places import ROOT
from secret_forms import SecretForm, read_forms, read_look_alikes
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.settings import DEFAULT_PERSONAL, Personal

FORMS = [*read_forms("forms.jsonl"), *read_forms("own_forms.jsonl")]
LABELLED = ROOT / "tests" / "data" / "labelled_turns" / "tune.jsonl"
ALL = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
BASE32 = string.ascii_lowercase + "234567"
NOT_RECOGNISED = [
    "log in with correct horse",
    "unlock it with Kolibri22",
    "deepgram 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "https://api.example.org/v1/354u1g321kcqc1oad3w7/telemetry",
    "jelige: nyolc sárga zsiráf",
    "use the password purple monkey dishwasher",
    "heslo je fialova opice mycka",
]
HOSTILE = """
eyJ|sk-|a.|password|password=|://|://a:|-----BEGIN |SG.|1-|key |xox|token:|glpat-|bearer |AC0|&sig=
-----BEGIN RSA PRIVATE KEY-----|dp.st.|-u a|--token |secret_|x|MMMMMMMMMMMMMMMMMMMMMMM.|aB3/|aaa.a.
aaaaaaaaaaaaa.atlasv1.|a1b2c3d4e5f6g7h8 |aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW |password is |zip -P|%41|İ
password for the x |mysql -|curl -u a|cookie: a=b;|sess=|$1$|:5432:b:c:|4111 |AB12 3456 |a@b.|+1|~|_
codes: a1|login a/|as a with |echo a |send "|/hooks/a|pin |пароль |パスワード|密码|\\n|secret{|-|=
key="|password,|<password>|data:image/png;base64,|///|[REDACTED:|://a:b@c@|b3BlbnNzaC1rZXktdjE|/|+
9fceb02d0ae598e95dc970b74767f19372d61af8 |mysql |-p|identified by '|[REDACTED:token]|a\u200b|a / b1
://a:b/@|://a:/@c.|the password is red fox cat |snmpwalk -c|config set a:
user a pass |kv put a b=|$(echo a
"""
UNITS = [
    *HOSTILE.strip("\n").replace("\n", "|").split("|"),
    "password,a\n1,2\n",
    f"{'aB3d' * 16}\n",
]

_SOURCE = random.Random(5)  # noqa: S311  made-up secrets


def some(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(_SOURCE.choices(letters, k=count))


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
BASE64 = string.ascii_letters + string.digits + "+/"
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
    (some(32), "it is {} for the gateway"),
    (some(32, HEX), "use {} for datadog"),
    (some(40, BASE64), "here it is: {}"),
    ("Modra.Zirafa7", "heslo je {}"),
    ("Blau3Giraffe!", "das Passwort lautet {}"),
    ("Bleu3Girafe!", "mot de passe : {}"),
    ("Azul3Jirafa", "la contraseña es {}"),
    ("Sinij3Zhiraf", "пароль: {}"),
    ("Kirin-3-Blue", "パスワードは{}です"),
    ("Lan3Changjinglu", "密码是{}"),
    ("BlueGiraffe7", "the password is {}"),
    ("S3cr3tPw99", "mysql -h db -u root -p{} prod"),
    ("S3cr3tPw98", "sshpass -p {} ssh root@x"),
    ("S3cr3t@Pw/97", "postgresql://app:{}@db.example.com:5432/x"),
    ("two words 99", "host=db password='{}'"),
    ("correcthorsebattery", "SESSION_SECRET={}"),
    ("12345678-1234-1234-1234-123456789abc", "//npm.example.com/:_authToken={}"),
    (some(32), "Cookie: sessionid={}; theme=dark"),
    (f"LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlF{some(60)}", "    client-key-data: {}"),
    (f"MIIEpAIBAAKCAQEA7{some(47)}\n{some(64)}\n{some(64)}", "the key body: {}"),
    (some(40), "- name: API_TOKEN\n  value: {}"),
    ("4111 1111 1111 1111", "the card is {}"),
    ("CZ65 0800 0000 1920 0014 5399", "pay to {}"),
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


def around(text: str) -> list[str]:
    """The text alone, in a sentence, in brackets, in a list and between other lines."""
    return [
        text,
        f"So you know: {text} and that is it.",
        f"({text})",
        f"- {text}",
        f"first line\n{text}\nlast line",
    ]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text[:30])
def test_every_form_that_is_known_is_taken_out(form: SecretForm) -> None:
    taken = DEFAULT_PERSONAL if form.personal is None else {Personal(form.personal)}
    for text in around(form.text):
        found = redact(text, taken)
        assert [secret for secret in form.secrets if secret in found] == []
        assert redact(found, taken) == found


def test_the_files_of_forms_and_look_alikes_are_read_whole() -> None:
    assert len(list(read_forms("forms.jsonl"))) == 124
    assert len(list(read_forms("own_forms.jsonl"))) == 931
    assert len(read_look_alikes()) == 245


@pytest.mark.parametrize("text", read_look_alikes(), ids=lambda text: text[:30])
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    for whole in around(text):
        assert redact(whole) == whole


@pytest.mark.parametrize("text", NOT_RECOGNISED)
def test_what_no_rule_recognises_is_written_down(text: str) -> None:
    assert redact(text) == text
    page = (ROOT / "docs" / "knowledge.md").read_text("utf-8")
    assert text in " ".join(page.split())


@pytest.mark.parametrize("letters", [ALL, BASE64, LOWER, UPPER, HEX, BASE32], ids=len)
@pytest.mark.parametrize(("size", "least"), [(24, 0.91), (32, 0.975), (64, 0.99)])
def test_nearly_every_random_token_goes(letters: str, size: int, least: float) -> None:
    source = random.Random(size)  # noqa: S311  made-up tokens
    tokens = ["".join(source.choices(letters, k=size)) for _ in range(1000)]
    gone = sum(token not in redact(f"it is {token} there") for token in tokens)
    assert gone >= least * len(tokens)


@pytest.mark.slow
def test_nearly_no_name_made_of_words_goes() -> None:
    source = random.Random(8)  # noqa: S311  made-up names
    texts = (json.loads(line)["user"] for line in LABELLED.read_text("utf-8").splitlines())
    words = sorted({word.lower() for text in texts for word in re.findall(r"[A-Za-z]{2,}", text)})
    names = []
    for _ in range(5000):
        parts = source.choices(words, k=source.randint(4, 9))
        parts.insert(source.randrange(len(parts)), str(source.randrange(2030)))
        camel = parts[0] + "".join(part.title() for part in parts[1:])
        names += ["_".join(parts), "-".join(parts), "/".join(parts), "_".join(parts).upper(), camel]
    touched = [name for name in names if redact(f"see {name} there") != f"see {name} there"]
    assert len(touched) <= 0.002 * len(names), touched[:20]


_PIECES = st.sampled_from(
    [secret for secret, _ in SECRETS]
    + [around for _, around in SECRETS]
    + [form.text for form in FORMS[::5]]
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


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@example([f"sk-{'a1' * 12}9", f":AA{'b2' * 17}"])
@example(["recovery codes: a1b2c-d3e4f g5h6i-j7k8l", "²\xad", f"sk-ant-api03-{'Q7x' * 14}"])
@given(st.lists(_PIECES | st.text(max_size=6), max_size=12))
def test_redacting_twice_is_redacting_once(pieces: list[str]) -> None:
    once = redact("".join(pieces))
    assert redact(once) == once


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_the_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    # Ten times the text takes ten times as long; quadratic time would be a hundred times. A machine
    # that is busy with others makes one of the two three times as long.
    assert seconds(150_000) < 40 * max(seconds(15_000), 0.02)


@pytest.mark.parametrize("unit", ["ww", "@", "pass", "://", "-p", "key"])
def test_the_time_is_linear_where_a_word_stands_inside_of_a_longer_one(unit: str) -> None:
    count = 20_000 // len(unit)
    begun = time.process_time()
    redact(f"{unit * count} x {unit * 2 * count}")
    assert time.process_time() - begun < 3, "quadratic time would be a minute"


def test_cards_and_accounts_go_if_their_checksum_is_right() -> None:
    numbers = "4111 1111 1111 1111, 5500-0055-5555-5559, 378282246310005, GB82WEST12345698765432"
    assert redact(numbers) == "[REDACTED:card], [REDACTED:card], [REDACTED:card], [REDACTED:iban]"
    wrong = "4111 1111 1111 1112, 5500-0055-5555-5558, 378282246310006, GB83WEST12345698765432"
    assert redact(wrong) == wrong
    assert redact(numbers, ()) == numbers
    assert redact("pay DE89 3704 0044 0532 0130 00 BIC COBA") == "pay [REDACTED:iban] BIC COBA"


def test_mail_and_telephone_stay_unless_they_are_to_go() -> None:
    text = "ask jana.novakova@example.com or +420 777 123 456, (555) 010-4477"
    assert redact(text) == text
    asked = {Personal.MAIL, Personal.PHONES}
    assert redact(text, asked) == "ask [REDACTED:mail] or [REDACTED:phone], [REDACTED:phone]"
    assert redact("4111111111111111", asked) == "4111111111111111"


def test_the_kind_says_whose_a_token_is() -> None:
    for named in ("{}", "GITHUB_TOKEN={}", "the token is {}", '"token": "{}"'):
        found = redact(named.format(f"ghp_{some(36)}"))
        assert found == named.format("[REDACTED:github-token]")


def test_a_table_loses_the_column_of_passwords_and_nothing_else() -> None:
    people = "user,password,role\nbob,{},admin\njana,{},reader\n\nuser,note\nbob,x1y2z3"
    gone = "[REDACTED:password]"
    assert redact(people.format("Kolibri22", "Modra.77")) == people.format(gone, gone)


def test_characters_that_nobody_sees_hide_no_token() -> None:
    token = f"ghp_{some(36)}"
    for hidden in "\u200b\u200d\u2060\ufeff\u00ad":
        assert redact(f"it is {token[:12]}{hidden}{token[12:]}") == "it is [REDACTED:github-token]"
    # Where they have a meaning they stay.
    assert redact("می\u200cخواهم 👩\u200d💻") == "می\u200cخواهم 👩\u200d💻"
