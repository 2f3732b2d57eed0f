"""What can be chosen, and what is answered to a choice that makes no sense."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.helm import readme, schema
from modelrelease.api import crd
from modelrelease.controller import settings
from tests.integration.chart import rendering

ROOT = Path(__file__).parents[3]
SYSTEM = "modelrelease-system"
DIGEST = "sha256:" + "a" * 64
NAME = "modelrelease-operator"


def pod(objects: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment", SYSTEM, NAME]["spec"]["template"]["spec"]
    return found


def config(objects: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(objects["ConfigMap", SYSTEM, NAME]["data"]["config.yaml"])
    return found


# --- Generated parts ----------------------------------------------------------------------------------------


def test_the_readme_is_current(chart: Any):
    assert readme.FILE.read_text(encoding="utf-8") == readme.text(), "run `make chart`"


# --- CRDs ---------------------------------------------------------------------------------------------------


def test_the_crds_are_those_that_are_generated_and_are_kept(chart: Any):
    objects = chart()
    for definition in crd.definitions().values():
        found = objects["CustomResourceDefinition", "", definition["metadata"]["name"]]
        assert found["spec"] == definition["spec"]
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_they_can_be_left_to_somebody_else(chart: Any):
    assert not any(kind == "CustomResourceDefinition" for kind, _, _ in chart(crds={"install": False}))


# --- Choices ------------------------------------------------------------------------------------------------


def test_a_digest_wins_over_a_tag(chart: Any):
    image = {"repository": "registry.example:5000/operator", "tag": "1", "digest": DIGEST}
    objects = chart(image=image, checks={"image": image}, imagePullSecrets=[{"name": "pull"}])
    assert pod(objects)["containers"][0]["image"] == f"registry.example:5000/operator@{DIGEST}"
    assert config(objects)["checksImage"] == f"registry.example:5000/operator@{DIGEST}"
    assert config(objects)["checksTorchImage"] == "modelrelease/checks-torch:dev"
    assert pod(objects)["imagePullSecrets"] == [{"name": "pull"}]


def test_credentials_come_from_secrets_and_the_operator_finds_them(chart: Any, tmp_path: Path):
    sources = [
        {
            "name": "mimir",
            "url": "https://mimir.example/prometheus",
            "bearerToken": {"secret": "mimir", "key": "t"},
            "ca": {"configMap": "company-ca"},
            "clientCertificate": {"secret": "mimir-client"},
            "tenant": {"value": "search"},
            "timeoutSeconds": 7,
        },
        {"name": "plain", "url": "http://prometheus:9090"},
        {
            "name": "old",
            "url": "https://old.example:8443",
            "basicAuth": {"username": "reader", "secret": "old"},
            "ca": {"secret": "old-ca", "key": "ca"},
        },
    ]
    objects = chart(prometheus={"sources": sources})
    mounts = {mount["name"]: mount["mountPath"] for mount in pod(objects)["containers"][0]["volumeMounts"]}
    files, wanted = set(), {}
    for volume in pod(objects)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            ((kind, said),) = source.items()
            for item in said["items"]:
                path = f"{mounts[volume['name']]}/{item['path']}"
                files.add(path)
                wanted[path] = (kind, said["name"], item["key"])
    made = yaml.safe_dump(config(objects)).replace("/etc/", f"{tmp_path}/")
    for path in files:
        local = Path(path.replace("/etc/", f"{tmp_path}/"))
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text("x", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(made, encoding="utf-8")
    # The operator refuses to start without a file that it needs.
    loaded = settings.load({"MODELRELEASE_CONFIG": str(tmp_path / "config.yaml")})
    needed = {str(path) for source in loaded.prometheus.sources for path in source.files()}
    assert needed == {path.replace("/etc/", f"{tmp_path}/") for path in files}
    assert wanted["/etc/modelrelease-prometheus/mimir/token"] == ("secret", "mimir", "t")
    assert wanted["/etc/modelrelease-prometheus/mimir/ca.crt"] == ("configMap", "company-ca", "ca.crt")
    assert wanted["/etc/modelrelease-prometheus/old/password"] == ("secret", "old", "password")
    assert loaded.prometheus.named("mimir").timeout_seconds == 7


def test_further_settings_reach_the_operator_and_restart_it(chart: Any, tmp_path: Path):
    url = tmp_path / "on-call"
    url.write_text("json://localhost", encoding="utf-8")
    said = {
        "intervals": {"resyncSeconds": 30},
        "notifications": {"targets": [{"name": "on-call", "urlFile": str(url)}]},
    }
    changed = chart(config=said, logLevel="debug", secretMounts=["mail"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(changed)), encoding="utf-8")
    loaded = settings.load({"MODELRELEASE_CONFIG": str(tmp_path / "config.yaml")})
    assert (loaded.intervals.resync_seconds, loaded.log_level) == (30.0, "debug")
    assert loaded.notifications.targets[0].url_file == url
    template = [
        objects["Deployment", SYSTEM, NAME]["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        for objects in (chart(), changed)
    ]
    assert template[0] != template[1]
    assert {"name": "secret-0", "secret": {"secretName": "mail"}} in pod(changed)["volumes"]
    mounted = [mount["mountPath"] for mount in pod(changed)["containers"][0]["volumeMounts"]]
    assert "/etc/modelrelease-secrets/mail" in mounted


def test_in_some_namespaces_there_is_a_role_in_each_and_none_for_the_cluster(chart: Any):
    watch: dict[str, Any] = {"namespaces": ["search", "ranking"]}
    objects = chart(watch=watch, rbac={"aggregate": False}, crds={"install": False})
    assert sorted({kind for kind, _, _ in objects}) == [
        "ConfigMap",
        "Deployment",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ], "nothing that belongs to the cluster"
    for namespace in watch["namespaces"]:
        rules = objects["Role", namespace, NAME]["rules"]
        assert not any({"nodes", "priorityclasses"} & set(rule["resources"]) for rule in rules)
        assert objects["RoleBinding", namespace, NAME]["subjects"] == [
            {"kind": "ServiceAccount", "name": NAME, "namespace": SYSTEM}
        ]
    assert config(objects)["namespaces"] == watch["namespaces"]
    nodes = chart(watch=watch | {"readNodes": True})["ClusterRole", "", NAME]["rules"]
    assert nodes == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]


def test_a_network_policy_lets_the_operator_reach_its_sources(chart: Any):
    urls = ["http://a", "https://b/x", "http://c:9090", "https://[2001:db8::1]:9091", "http://d:9090"]
    sources = [{"name": f"s{place}", "url": url} for place, url in enumerate(urls)]
    extra = {"ports": [{"port": 587, "protocol": "TCP"}]}
    policy = chart(prometheus={"sources": sources}, networkPolicy={"enabled": True, "extraEgress": [extra]})[
        "NetworkPolicy", SYSTEM, NAME
    ]
    *_, prometheus, last = policy["spec"]["egress"]
    assert [entry["port"] for entry in prometheus["ports"]] == [80, 443, 9090, 9091]
    assert last == extra


def test_the_alerts_are_those_of_kustomize_and_the_labels_find_them(chart: Any):
    rules = chart(prometheusRule={"enabled": True, "labels": {"release": "kube-prometheus"}})[
        "PrometheusRule", SYSTEM, NAME
    ]
    shipped = yaml.safe_load((ROOT / "manifests" / "prometheus" / "operator.yaml").read_text())
    assert rules["spec"] == shipped["spec"]
    assert rules["metadata"]["labels"]["release"] == "kube-prometheus"


def test_the_pages_of_the_alerts_are_where_the_installation_publishes_them(chart: Any):
    published = "https://docs.example/alerts/"
    found = chart(prometheusRule={"enabled": True, "runbooks": published})["PrometheusRule", SYSTEM, NAME]
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(rules) > 3
    assert [rule["annotations"]["runbook_url"] for rule in rules] == [
        f"{published}{rule['alert']}.md" for rule in rules
    ]
    with pytest.raises(rendering.Refused, match="runbooks"):
        chart(prometheusRule={"enabled": True, "runbooks": "https://docs.example/alerts"})


def test_where_and_beside_what_it_runs_can_be_chosen(chart: Any):
    objects = chart(
        nodeSelector={"pool": "system"},
        tolerations=[],
        priorityClassName="system-cluster-critical",
        podLabels={"team": "ml"},
        podAnnotations={"note": "x"},
        extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        serviceAccount={"create": False, "name": "mine"},
        resources={"limits": {"memory": "512Mi"}},
        metrics={"annotations": False},
    )
    spec, (container,) = pod(objects), pod(objects)["containers"]
    assert spec["nodeSelector"] == {"pool": "system"}
    assert "tolerations" not in spec
    assert spec["serviceAccountName"] == "mine"
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert container["env"][-1]["name"] == "HTTPS_PROXY"
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "96Mi"},
        "limits": {"memory": "512Mi"},
    }
    metadata = objects["Deployment", SYSTEM, NAME]["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert "prometheus.io/scrape" not in metadata["annotations"]
    assert not any(kind == "ServiceAccount" for kind, _, _ in objects)
    assert objects["ClusterRoleBinding", "", NAME]["subjects"][0]["name"] == "mine"


# --- Bad values ---------------------------------------------------------------------------------------------


def source(**said: Any) -> dict[str, Any]:
    return {"prometheus": {"sources": [{"name": "a", "url": "https://a", **said}]}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 2}, "'replicas' not allowed"),
        ({"image": {"tga": "1"}}, "'tga' not allowed"),
        ({"image": {"tag": 1.1}}, "/image/tag"),
        ({"image": {"digest": "sha256:short"}}, "/image/digest"),
        ({"image": {"repository": "operator:1"}}, "/image/repository"),
        ({"logLevel": "loud"}, "/logLevel"),
        ({"watch": {"namespaces": ["Bad_Name"]}}, "/watch/namespaces/0"),
        ({"watch": {"namespaces": "search"}}, "/watch/namespaces"),
        ({"watch": {"readNodes": True}}, "watch.readNodes is for watch.namespaces"),
        ({"serviceAccount": {"create": False}}, "name the account"),
        ({"podMonitor": {"enabled": True}}, "set metrics.annotations to false"),
        ({"podMonitor": {"enabled": "yes"}}, "/podMonitor/enabled"),
        ({"config": {"intervals": {"resyncSeconds": 0}}}, "/config/intervals/resyncSeconds"),
        ({"config": {"checksImage": "x"}}, "'checksImage' not allowed"),
        ({"config": {"intervalls": {}}}, "'intervalls' not allowed"),
        (source(url="ftp://a"), "/prometheus/sources/0/url"),
        (source(url="https://user:secret@a"), "/prometheus/sources/0/url"),
        (source(timeoutSeconds=60), "/prometheus/sources/0/timeoutSeconds"),
        (source(insecureSkipVerify=True), "'insecureSkipVerify' not allowed"),
        (
            source(bearerToken={"secret": "s"}, basicAuth={"username": "u", "secret": "s"}),
            "takes one of them",
        ),
        (source(url="http://a", ca={"secret": "s"}), "need an https URL"),
        (source(ca={"secret": "s", "configMap": "c"}), "/prometheus/sources/0/ca"),
        ({"prometheus": {"sources": [*source()["prometheus"]["sources"]] * 2}}, '"a" is there twice'),
        ({"networkPolicy": {"apiServerPorts": [0]}}, "/networkPolicy/apiServerPorts/0"),
    ],
)
def test_a_bad_value_is_answered_by_its_place_or_a_sentence(chart: Any, values: dict[str, Any], said: str):
    with pytest.raises(rendering.Refused) as refused:
        chart(**values)
    assert said in str(refused.value)
    assert "nil pointer" not in str(refused.value)


def test_as_a_part_of_another_chart_it_is_given_global_values(chart: Any):
    assert chart(**{"global": {"imageRegistry": "x"}}) == chart()


# --- Dashboards ---------------------------------------------------------------------------------------------


def test_the_dashboards_come_with_the_chart(chart: Any):
    made = chart(dashboards={"enabled": True})
    for path in sorted((schema.CHART.parents[1] / "manifests" / "grafana").glob("*.json")):
        found = made["ConfigMap", SYSTEM, f"{NAME}-{path.stem}"]
        assert found["data"] == {path.name: path.read_text(encoding="utf-8")}


def test_a_dashboard_becomes_a_config_map_as_it_is(chart: Any, tmp_path: Path):
    folder = tmp_path / "modelrelease"
    shutil.copytree(schema.CHART, folder, ignore=shutil.ignore_patterns("dashboards"))
    (folder / "dashboards").mkdir()
    content = '{"title": "On call", "legend": "{{namespace}}/{{name}}"}\n'
    (folder / "dashboards" / "on-call.json").write_text(content, encoding="utf-8")
    made = rendering.Chart(folder)(dashboards={"enabled": True, "annotations": {"folder": "ML"}})
    found = made["ConfigMap", SYSTEM, f"{NAME}-on-call"]
    assert found["data"] == {"on-call.json": content}, "Grafana's own braces are left alone"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"folder": "ML"}
