"""Where things are kept that need not be on this machine: what each record says, what is refused.

A password has no place in them: such settings are shown in the launchpad and in `status`.
`settings.py` fills them in; it is the only reader of the environment.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from session_pipeline_dagster import setting_values as values
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_records import Root

_ROOTS = "SESSION_DATA_DIR or --sessions"
DATABASE = "SESSION_PIPELINE_DATABASE"
_LAKE = "ducklake:"
_POSTGRES = "ducklake:postgres:"
_OTHER_STORES = re.compile(r"(?:ducklake|postgres|postgresql|mysql|sqlite|md|quack):")
_ROOT_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")
# Also one that libpq takes for none, such as one with a slash: its message would show it.
_PASSWORD = re.compile(
    r"(?:^|[\s?&])[a-z_]*(?:password|passwd|pass|pwd|secret)\s*=|://[^@\s]*:[^@\s]*@", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How an S3 service is reached; one set for a lake and for sessions. Keys are never shown.

    Attributes:
        endpoint: another service than Amazon's; the bucket is then part of the path.
    """

    access_key_id: str | None = None  # AWS_ACCESS_KEY_ID
    secret_access_key: str | None = field(default=None, repr=False)  # AWS_SECRET_ACCESS_KEY
    session_token: str | None = field(default=None, repr=False)  # AWS_SESSION_TOKEN
    region: str | None = None  # AWS_REGION
    endpoint: str | None = None  # AWS_ENDPOINT_URL

    def check_endpoint(self) -> None:
        """Look at it once it is needed: the variable is of other programs too.

        Raises:
            SettingsError: it is no address, or there is a password in it: messages show it.
        """
        if self.endpoint is not None and not _ENDPOINT.fullmatch(self.endpoint):
            raise SettingsError(
                "AWS_ENDPOINT_URL is no address, or has a password in it; write http://host:port "
                "or https://…"
            )


@dataclass(frozen=True, slots=True)
class Lake:
    """A DuckLake whose catalog is a Postgres database.

    Attributes:
        catalog: how libpq finds it (`host=… dbname=lake`), without a password.
    """

    catalog: str

    def __str__(self) -> str:
        return f"{_POSTGRES}{self.catalog}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix of a bucket with session files: a root that is no folder.

    Attributes:
        url: `s3://bucket/prefix` (or `gs://`, `az://`), without a slash at its end.
        name: prefixes its keys, as a `Root`'s does.
    """

    url: str
    name: str | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.url


AnyRoot = Root | Bucket


def parse_database(text: str, setting: str = DATABASE) -> Path | Lake:
    """A file's path, or the lake of `ducklake:postgres:<how libpq finds the catalog>`.

    Raises:
        SettingsError: another kind of database, or a password in it.
    """
    text = text.strip()
    if text.startswith(_POSTGRES):
        catalog = text.removeprefix(_POSTGRES).strip()
        if not catalog:
            raise SettingsError(f"{setting} names no catalog; write {_POSTGRES}host=… dbname=…")
        if _PASSWORD.search(catalog) or _PASSWORD.search(unquote(catalog)):
            raise SettingsError(
                f"{setting} holds a password, and settings are shown; put it into PGPASSFILE or "
                "PGPASSWORD and take it out of there"
            )
        if "'" in catalog or "\\" in catalog or not catalog.isprintable():
            raise SettingsError(f"{setting} has a quote, backslash or control character in it")
        return Lake(catalog)
    if _OTHER_STORES.match(text) and not text.startswith("sqlite:/"):
        raise SettingsError(
            f"{setting} takes a DuckDB file or {_POSTGRES}host=… dbname=…, no other database"
        )
    return values.path(text, setting)


def lake_data(text: str | None) -> str | None:
    """Where a lake's Parquet is: a URL or an absolute folder, with one slash at its end.

    Raises:
        SettingsError: a key in it.
    """
    if text is None:
        return None
    if _SCHEME.match(text):
        if "@" in text or "?" in text:
            raise SettingsError(
                "SESSION_PIPELINE_LAKE_DATA has an @ or a ? in it, as where a key is, and it is "
                "shown and stands in the catalog; use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return text.rstrip("/") + "/"
    return f"{values.absolute(values.path(text, 'SESSION_PIPELINE_LAKE_DATA'))}".rstrip("/") + "/"


def is_url(text: str) -> bool:
    """Whether a root, with or without a name, is one of a bucket."""
    _, _, rest = text.partition("=")
    return any(_SCHEME.match(part) is not None for part in (text, rest))


def split_roots(text: str) -> list[str]:
    """The roots of one setting: separated by `:`, by spaces if any is a URL."""
    parts = text.split()
    if not any(is_url(part) for part in parts):
        return text.split(":")
    # A local path with a space in it is written percent-encoded here.
    return [part if is_url(part) else unquote(part) for part in parts]


def parse_roots(text: str) -> tuple[AnyRoot, ...]:
    """Roots from `path`, `name=path`, a URL, or several: see `split_roots`.

    Raises:
        SettingsError: an empty path, a URL of another kind, two roots without a name, or one name
            twice.
    """
    return check_roots(parse_root(part) for part in split_roots(text))


def check_roots(given: Iterable[AnyRoot], setting: str = _ROOTS) -> tuple[AnyRoot, ...]:
    """The roots, if their names tell them apart.

    Args:
        setting: who is to blame.

    Raises:
        SettingsError: two roots without a name, or one name twice.
    """
    roots = tuple(given)
    names = [root.name for root in roots]
    for name in names:
        if names.count(name) > 1:
            what = f"the name {name!r} twice" if name else "two roots without a name"
            raise SettingsError(f"{setting} has {what}; write name=path")
    return roots


def parse_root(part: str, setting: str = _ROOTS) -> AnyRoot:
    """A root from `path`, `name=path`, or a URL in place of the path.

    Args:
        setting: who is to blame.

    Raises:
        SettingsError: an empty path, or a URL of another kind.
    """
    name, equals, path = part.partition("=")
    if equals and _ROOT_NAME.fullmatch(name):
        part = path
    else:
        name = ""
    if not part.strip():
        raise SettingsError(f"{setting} is empty; write path or name=path")
    if _SCHEME.match(part):
        return _bucket(part, name or None, setting)
    return Root(values.path(part, setting), name or None)


def _bucket(url: str, name: str | None, setting: str) -> Bucket:
    scheme = url.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        raise SettingsError(f"{setting} has {scheme}://; it takes folders, s3://, gs:// and az://")
    none = f"{setting} has a URL that is none; write {scheme}://bucket/prefix"
    try:
        found = urlsplit(url)
    except ValueError:
        raise SettingsError(none) from None
    if "@" in found.netloc:
        raise SettingsError(
            f"{setting} holds a password or key in a URL, and settings are shown; use "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the variables of your provider"
        )
    if not found.netloc or found.query or found.fragment:
        raise SettingsError(none)
    path = found.path.strip("/")
    return Bucket(f"{_SCHEMES[scheme]}://{found.netloc}" + (f"/{path}" if path else ""), name)


def below(root: AnyRoot, folder: Path) -> AnyRoot:
    """The root, where a relative path is relative to that folder."""
    return root if isinstance(root, Bucket) else replace(root, path=folder / root.path)


def settled(root: AnyRoot) -> AnyRoot:
    """The root, its folder made absolute."""
    return root if isinstance(root, Bucket) else replace(root, path=values.absolute(root.path))


def shown(place: AnyRoot | Path | Lake) -> str:
    """A root or a database in full, for people and programs: folders and files as they lie."""
    path = place.path if isinstance(place, Root) else place
    return str(path.resolve() if isinstance(path, Path) else getattr(path, "label", path))


def last_part(root: AnyRoot) -> str:
    """The last folder of a root: what it is called if nobody names it."""
    return root.url.rpartition("/")[2] if isinstance(root, Bucket) else root.path.name
