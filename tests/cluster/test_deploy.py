"""The examples of deploy/: each is parsed as its program would, and what it states is true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from playground.backends.cluster.serving import app, between, name_of
from playground.settings import Settings

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
PINNED = re.search(
    r"^ray\[serve\]==(.+)$", (DEPLOY / "requirements.txt").read_text(encoding="utf-8"), re.M
)


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def check_settings(given: dict[str, str]) -> Settings:
    """The settings of an environment, every name and value of which must mean something."""
    names = {name.removeprefix("PLAYGROUND_").lower(): value for name, value in given.items()}
    assert names.keys() <= Settings.model_fields.keys()
    return Settings.model_validate(names)


def joins(script: str, head: str) -> None:
    """That a front end's machine joins its cluster, again after its part of it has ended."""
    subprocess.run(["sh", "-n", "-c", script], check=True)
    assert f"while :; do ray start --address={head} --num-cpus=0 --block; sleep 2; done &" in script
    assert script.rstrip().endswith("exec decoding-playground run")


def test_serve_s_config_file_is_valid_and_its_applications_can_be_built() -> None:
    (config,) = documents("serve.yaml")
    schema = ServeDeploySchema.model_validate(config)
    assert schema.proxy_location == "Disabled"
    for one in schema.applications:
        assert one.name == name_of(one.args["model"])  # by which front ends find it
        assert one.import_path == "playground.backends.cluster.serving:app"
        built = app(one.args)
        deployment = built._bound_deployment
        assert deployment.func_or_class.__name__ == "Served" or deployment.name == "Model"
        low, high = between(one.args["replicas"])
        scaling = deployment._deployment_config.autoscaling_config
        assert (scaling is not None) == (high > low)


def test_a_config_file_with_a_word_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown arguments: modle"):
        app({"modle": "gpt2"})
    with pytest.raises(ValueError):
        app({"model": "gpt2", "settings": {"thread": 2}})


def test_the_kubernetes_manifest_hangs_together() -> None:
    cluster, front, service, ingress = documents("kuberay.yaml")
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert PINNED is not None and cluster["spec"]["rayVersion"] == PINNED[1]
    head = cluster["spec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    (workers,) = cluster["spec"]["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (head, workers):
        assert group["template"]["spec"]["containers"][0]["image"] == "decoding-playground:cluster"
    spec = front["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert spec["replicas"] == 2 and spec["serviceName"] == service["metadata"]["name"]
    (container,) = spec["template"]["spec"]["containers"]
    joins(container["args"][0], f"{cluster['metadata']['name']}-head-svc:6379")
    settings = check_settings({one["name"]: one["value"] for one in container["env"]})
    asked = workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    assert settings.cluster == "auto" and settings.cluster_cpus <= float(asked)
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    (mounted,), (kept,) = container["volumeMounts"], spec["volumeClaimTemplates"]
    assert mounted["name"] == kept["metadata"]["name"]
    assert str(settings.cache_dir) == mounted["mountPath"] and settings.hops == 1
    (rule,) = ingress["spec"]["rules"]
    assert [rule["host"]] == list(settings.allowed_hosts)
    (path,) = rule["http"]["paths"]
    to = path["backend"]["service"]
    assert to["name"] == service["metadata"]["name"]
    assert to["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    told = {
        name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()
    }
    assert told["affinity"] == "cookie" and told["proxy-buffering"] == "off"


def test_the_compose_file_hangs_together() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    assert set(services) == {"head", "replica", "front-1", "front-2", "proxy"}
    for one in services.values():
        assert set(one.get("depends_on") or ()) <= services.keys()
        assert one["restart"] == "always"  # what Ray begins ends with its head
    fronts = [services["front-1"], services["front-2"]]
    assert fronts[0] == fronts[1]
    joins(fronts[0]["command"][0], "head:6379")
    settings = check_settings(fronts[0]["environment"])
    started = " ".join(services["replica"]["command"])
    cpus = re.search(r"--num-cpus=(\d+)", started)
    assert settings.cluster == "auto" and cpus is not None
    assert settings.cluster_cpus <= float(cpus[1]) and settings.hops == 1
    assert int(settings.cluster_replicas) == services["replica"]["deploy"]["replicas"]
    arguments = fronts[0]["build"]["args"]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert all(f"ARG {name}=" in dockerfile for name in arguments)


def test_the_proxy_passes_on_to_the_front_ends_of_the_compose_file() -> None:
    (compose,) = documents("compose.yaml")
    nginx = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"server ([\w-]+):7860", nginx)) == {"front-1", "front-2"}
    assert "proxy_buffering off" in nginx and "ip_hash" in nginx
    assert nginx.count("{") == nginx.count("}")
    (mounted,) = compose["services"]["proxy"]["volumes"]
    assert (DEPLOY / mounted.split(":")[0]).is_file()
