"""Which source the settings mean: folders, a bucket, or several places beside each other."""

from collections.abc import Callable

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import PeopleMode, Root, Settings
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.sources.keys import is_plain
from session_pipeline_dagster.sources.layout import CheckedSource, LayoutChecked
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.several import SeveralSources

_Folders = Callable[[tuple[Root, ...]], SessionSource]


def open_source(settings: Settings) -> SessionSource:
    """The session files of the settings; nothing is looked at yet.

    Raises:
        SettingsError: a root is a bucket, and what reads it is not installed.
    """

    def folders(roots: tuple[Root, ...]) -> SessionSource:
        return LocalSource(roots, settings.layout, settings.user, settings.limits)

    return _opened(settings, folders, lambda bucket: _in_bucket(settings, bucket))


def open_checked(settings: Settings) -> SessionSource:
    """The session files of the settings; their layout is checked unless it is forced.

    Raises:
        SettingsError: as `open_source`.
    """
    if settings.force_layout:
        return open_source(settings)
    hides = settings.people.mode is not PeopleMode.NAMED

    def folders(roots: tuple[Root, ...]) -> SessionSource:
        given = (settings.layout, settings.user, settings.limits)
        return CheckedSource(roots, *given, hides=hides)

    def objects(bucket: Bucket) -> SessionSource:
        return LayoutChecked(_in_bucket(settings, bucket), bucket, settings.layout, hides)

    return _opened(settings, folders, objects)


def _opened(
    settings: Settings, folders: _Folders, objects: Callable[[Bucket], SessionSource]
) -> SessionSource:
    local = tuple(root for root in settings.roots if isinstance(root, Root))
    if len(local) == len(settings.roots):
        return folders(local)
    parts = {
        root.name or "": folders((root,)) if isinstance(root, Root) else objects(root)
        for root in settings.roots
    }
    return next(iter(parts.values())) if len(parts) == 1 else SeveralSources(parts)


def _in_bucket(settings: Settings, bucket: Bucket) -> SessionSource:
    if not is_plain(bucket.url.partition("://")[2]):
        raise SettingsError(f"SESSION_DATA_DIR has {bucket.url}, which is no prefix to list")
    try:
        from session_pipeline_dagster.sources.objects import ObjectSource  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise SettingsError(
            f"{bucket.url} is no folder, and what reads buckets is not installed: "
            "pip install 'session-pipeline-dagster[objects]'"
        ) from None
    hides = settings.people.mode is not PeopleMode.NAMED
    given = (bucket, settings.layout, settings.user, settings.limits)
    return ObjectSource(*given, s3=settings.s3, hides=hides)
