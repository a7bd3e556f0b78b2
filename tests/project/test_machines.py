"""The files of deploy/machines: read as YAML, and beside what they have to agree with."""

import re
from typing import Any

import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema

from deployment import DEPLOY
from session_pipeline_dagster.orchestration.names import PROCESSOR_TAG, SHARD_TAG

MACHINES = DEPLOY / "machines"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(MACHINES.glob("*.yaml"))}
SCALE = (DEPLOY.parent / "docs" / "scale.md").read_text("utf-8")
README = (MACHINES / "README.md").read_text("utf-8")


def blocks(page: str) -> list[Any]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def limits(found: list[dict[str, Any]]) -> dict[str, int]:
    """Key -> runs at a time for each of its values."""
    assert all(limit["value"] == {"applyLimitPerUniqueValue": True} for limit in found)
    return {limit["key"]: limit["limit"] for limit in found}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_is_yaml_and_is_said_whether_it_was_run(name: str) -> None:
    assert isinstance(yaml.safe_load(TEXTS[name]), dict)
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", ["docker.yaml", "celery.yaml", "scale.md"])
def test_an_instance_takes_the_block_and_it_lets_four_shards_through(name: str) -> None:
    pages = [block for block in blocks(SCALE) if "concurrency" in block]
    found = pages[0] if name == "scale.md" else yaml.safe_load(TEXTS[name])
    taken = process_config(dagster_instance_config_schema(), {"concurrency": found["concurrency"]})
    assert taken.success, taken.errors
    runs = found["concurrency"]["runs"]
    assert limits(runs["tag_concurrency_limits"]) == {PROCESSOR_TAG: 4, SHARD_TAG: 1}
    assert runs["max_concurrent_runs"] >= 8


def test_no_file_has_a_password() -> None:
    for text in (*TEXTS.values(), README):
        assert not re.search(r"(?i)(password|secret_access_key)\s*[:=]\s*[\"']?\w", text)


def test_a_worker_of_celery_is_told_its_broker_where_it_is_read() -> None:
    """At the top level dagster-celery ignores it and takes amqp on this machine."""
    worker = yaml.safe_load(TEXTS["celery-worker.yaml"])
    assert list(worker) == ["execution"]
    launcher = yaml.safe_load(TEXTS["celery.yaml"])["run_launcher"]["config"]
    assert worker["execution"]["config"]["broker"] == launcher["broker"]
    assert "--pool solo" in README
