"""deploy/kubernetes as kubectl renders it: against Kubernetes' schemas, and as Dagster reads it.

The job of a run is the one that the launcher sends, to a server that only writes down what it gets.
"""

import http.server
import json
import re
import shutil
import subprocess
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_k8s.client
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher

from deployment import DEPLOY, assignments
from session_pipeline_dagster.orchestration.names import PROCESSOR_TAG, SHARD_TAG
from session_pipeline_dagster.settings import read_settings

FOLDER = DEPLOY / "kubernetes"
INSTANCE = yaml.safe_load((FOLDER / "dagster.yaml").read_text("utf-8"))
LAUNCHER = INSTANCE["run_launcher"]["config"]
IMAGE = "registry.example.com/session-pipeline:0.1.0"
Manifest = dict[str, Any]
pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    made = subprocess.run(
        ["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(made.stdout))


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The job of a run, as Kubernetes would get it."""
    sent: list[bytes] = []

    class Cluster(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.path.encode())
            sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(sent[-1])

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            launch(f"http://127.0.0.1:{server.server_port}", tmp_path_factory.mktemp("cluster"))
        finally:
            server.shutdown()
    path, body = sent
    assert path == b"/apis/batch/v1/namespaces/session-pipeline/jobs"
    return json.loads(body)


def launch(address: str, folder: Path) -> None:
    """A run, by the launcher of dagster.yaml; only where the cluster is, is another."""
    given = {"name": "here", "cluster": {"server": address}}
    context = {"name": "here", "context": {"cluster": "here", "user": "here"}}
    known = {"apiVersion": "v1", "kind": "Config", "current-context": "here"}
    users = [{"name": "here", "user": {}}]
    known |= {"clusters": [given], "contexts": [context], "users": users}
    (folder / "config").write_text(yaml.safe_dump(known))
    here = {"load_incluster_config": False, "kubeconfig_file": str(folder / "config")}
    launcher = K8sRunLauncher(**{**LAUNCHER, **here})
    code = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=ModuleCodePointer("session_pipeline_dagster.definitions", "defs"),
        # What the code server says of itself.
        container_image=IMAGE,
        entry_point=["dagster"],
        container_context=None,
    )
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        run = dg.DagsterRun(
            job_name="usage_job", job_code_origin=JobPythonOrigin("usage_job", code)
        )
        instance.add_run(run)
        launcher.register_instance(instance)
        launcher.launch_run(LaunchRunContext(run, workspace=None))


def check(manifest: Manifest) -> None:
    """Against the schema of the newest Kubernetes that the package knows; no field is unknown."""
    newest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, newest, strict=True)


def pods(rendered: list[Manifest], launched: Manifest) -> dict[str, Manifest]:
    """Name -> the template of its pods; `run` is the one of a run."""
    kinds = ("Deployment", "Job")
    found = {m["metadata"]["name"]: m for m in rendered if m["kind"] in kinds} | {"run": launched}
    return {name: manifest["spec"]["template"] for name, manifest in found.items()}


def called(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def test_kubernetes_knows_every_field_of_what_is_applied_and_of_a_runs_job(
    rendered: list[Manifest], launched: Manifest
) -> None:
    assert len(rendered) > 10
    for manifest in (*rendered, launched):
        check(manifest)
    wrong = deepcopy(called(rendered, "Deployment", "code"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        check(wrong)


def test_everything_is_in_one_namespace_that_refuses_pods_with_rights(
    rendered: list[Manifest],
) -> None:
    space = called(rendered, "Namespace", "session-pipeline")
    assert space["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    others = [m for m in rendered if m is not space]
    assert {m["metadata"]["namespace"] for m in others} == {"session-pipeline"}
    assert LAUNCHER["job_namespace"] == "session-pipeline"


def test_every_pod_has_no_rights_and_a_limit_and_the_same_image(
    rendered: list[Manifest], launched: Manifest
) -> None:
    for name, template in pods(rendered, launched).items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert container["image"] == IMAGE, name
        assert {mount["name"] for mount in container["volumeMounts"]} == {"instance", "tmp"}, name
    code = pods(rendered, launched)["code"]["spec"]["containers"][0]
    assert {"name": "DAGSTER_CURRENT_IMAGE", "value": IMAGE} in code["env"]


def test_only_the_code_server_and_runs_have_settings_and_only_the_daemon_may_launch(
    rendered: list[Manifest], launched: Manifest
) -> None:
    having, launching = set(), set()
    for name, template in pods(rendered, launched).items():
        (container,) = template["spec"]["containers"]
        taken = [next(iter(entry.values()))["name"] for entry in container["envFrom"]]
        assert "session-pipeline-dagster" in taken
        having |= {name} if "session-pipeline-settings" in taken else set()
        launching |= {name} if template["spec"]["serviceAccountName"].endswith("r") else set()
    assert having == {"code", "run"}
    assert launching == {"daemon"}
    (subject,) = called(rendered, "RoleBinding", "session-pipeline-launcher")["subjects"]
    assert subject["name"] == "session-pipeline-launcher"


def test_the_launchers_account_may_do_what_dagster_calls_and_nothing_else(
    rendered: list[Manifest],
) -> None:
    source = Path(dagster_k8s.client.__file__).read_text("utf-8")
    calls = set(re.findall(r"_api\.(\w+?)_namespaced_(\w+)", source))
    names = {"job": "jobs", "job_status": "jobs/status", "pod": "pods", "pod_log": "pods/log"}
    names["event"] = "events"
    needed = {(verb.replace("read", "get"), names[what]) for verb, what in calls}
    rules = called(rendered, "Role", "session-pipeline-launcher")["rules"]
    given = {(verb, what) for rule in rules for what in rule["resources"] for verb in rule["verbs"]}
    assert given >= needed
    # A job is also read as such by `get`, which some versions do.
    assert given - needed <= {("get", "jobs")}


def test_services_find_each_other_and_nobody_else_reaches_the_code_server(
    rendered: list[Manifest], launched: Manifest
) -> None:
    (server,) = yaml.safe_load((FOLDER / "workspace.yaml").read_text("utf-8"))["load_from"]
    reached = server["grpc_server"]
    service = called(rendered, "Service", reached["host"])
    assert [port["port"] for port in service["spec"]["ports"]] == [reached["port"]]
    labels = {name: t["metadata"]["labels"] for name, t in pods(rendered, launched).items()}
    assert labels["code"] == service["spec"]["selector"]
    policies = {m["metadata"]["name"]: m["spec"] for m in rendered if m["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert policies["code"]["podSelector"]["matchLabels"] == labels["code"]
    ((rule,),) = (entry["from"] for entry in policies["code"]["ingress"])
    (expression,) = rule["podSelector"]["matchExpressions"]
    assert set(expression["values"]) <= labels.keys() - {"run"}
    web = pods(rendered, launched)["webserver"]["spec"]["containers"][0]["command"]
    assert "--read-only" in web


def test_dagster_takes_the_instance_and_its_launcher(
    rendered: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://dagster@db/dagster")
    data = called(rendered, "ConfigMap", "session-pipeline")["data"]
    assert yaml.safe_load(data["dagster.yaml"]) == INSTANCE
    taken = process_config(dagster_instance_config_schema(), INSTANCE)
    assert taken.success, taken.errors
    taken = process_config(K8sRunLauncher.config_type(), LAUNCHER)
    assert taken.success, taken.errors


def test_the_settings_can_be_read_and_their_shards_are_let_through() -> None:
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    of_image = dict(re.findall(r"\b(SESSION_[A-Z_]+)=(\S+)", image))
    settings = read_settings(of_image | assignments(FOLDER / "settings.env"))
    assert not isinstance(settings.database, Path)
    # All else of a pod is read-only.
    assert settings.reports.is_relative_to("/tmp")  # noqa: S108
    assert settings.folder.is_relative_to("/tmp")  # noqa: S108
    # What a folder would remember, which goes with a pod.
    assert settings.start_date
    assert settings.people.is_said
    runs = INSTANCE["concurrency"]["runs"]
    limits = {limit["key"]: limit["limit"] for limit in runs["tag_concurrency_limits"]}
    assert limits == {PROCESSOR_TAG: settings.shards, SHARD_TAG: 1}
    assert settings.shards > 1
    assert runs["max_concurrent_runs"] >= 2 * settings.shards


def test_no_file_has_a_password() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        assert not re.search(r"(?i)(password|secret_access_key)\s*[:=]\s*[\"']?\w", text), path
