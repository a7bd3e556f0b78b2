"""What docs/ui.md says of the UI is held against the location."""

import re

import yaml

from places import ROOT
from session_pipeline_dagster.contract.processor import extras
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.config import ProcessorConfig, config_schema
from session_pipeline_dagster.orchestration.names import FAILED_TAG, GIVEN_UP_TAG
from session_pipeline_dagster.settings import Settings

PAGE = (ROOT / "docs" / "ui.md").read_text("utf-8")


def test_every_config_of_the_page_is_one_that_a_run_takes() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        config = yaml.safe_load(block)["ops"]["usage"]["config"]
        assert set(config) <= set(config_schema())
        assert ProcessorConfig(**config) != ProcessorConfig()


def test_what_the_page_names_exists() -> None:
    repository = build_definitions(load_processors(), Settings()).get_repository_def()
    graph = repository.asset_graph
    assets = graph.get_all_asset_keys()
    there = {key.to_user_string() for key in assets} | {graph.get(k).group_name for k in assets}
    there |= {key.name for key in graph.asset_check_keys} | set(ProcessorConfig.model_fields)
    there |= {s.name for s in repository.sensor_defs} | {j.name for j in repository.get_all_jobs()}
    rollups = [r for p in load_processors().processors for r in extras(p).rollups]
    there |= {name for rollup in rollups for name in re.findall(r" AS (\w+)", rollup.numbers)}
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", PAGE))
    assert len(named) > 12
    assert named - there <= {FAILED_TAG, GIVEN_UP_TAG, "failures", "lag_seconds"}
