"""Install, upgrade, roll back and uninstall the chart under a release with traffic: no user notices."""

import copy
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hack import sample
from hack.demo import stage
from hack.helm import schema
from tests.chart.serving import Serving
from tests.e2e.operator_pod import image_running
from tests.e2e.release import Release

CRD = "crd/modelreleases.modelrelease.dev"
SYSTEM = "chart-system"
COLUMNS = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"


@pytest.mark.timeout(900)
def test_serving_is_untouched_from_install_to_uninstall(
    on: stage.Stage, helm: Any, release: Release, changed_chart: Path, tmp_path: Path
):
    values = sample.values(on.images)
    # The CRDs are there already, from kustomize: they are taken over.
    helm("install", schema.CHART, "--create-namespace", "--take-ownership", values=values)
    release.release_first()
    with Serving(release).under_load() as serving:
        serving.untouched()

        step("upgrade of values")
        quieter = {**copy.deepcopy(values), "logLevel": "warning", "podDisruptionBudget": {"enabled": True}}
        helm("upgrade", schema.CHART, values=quieter)
        serving.untouched()

        step("upgrade of image and CRD")
        script = tmp_path / "entrypoint.py"
        script.write_text("# Another digest; the pod names its own command.\n")
        repository, _, digest = image_running(on.images["operator"], script).partition("@")
        later = {**quieter, "image": {"repository": repository, "digest": digest}}
        helm("upgrade", changed_chart, values=later)
        assert "Later" in on.kubectl("get", CRD, "-o", COLUMNS)
        assert digest in on.kubectl("-n", SYSTEM, "get", "deployment", "-o", "yaml")
        serving.untouched()
        release.override(paused={"reason": "is the new operator there?"})
        release.wait_reason("Paused", "Paused")
        serving.untouched()

        step("rollback")
        helm("rollback", "1")
        assert "Later" not in on.kubectl("get", CRD, "-o", COLUMNS)
        serving.untouched()

        step("uninstall")
        helm("uninstall")
        assert release.release()["metadata"]["name"] == release.name, "the CRDs stay, and the releases"
        assert on.kubectl("-n", SYSTEM, "get", "deployments", "-o", "name") == ""
        serving.untouched()

        step("install again")
        helm("install", schema.CHART, values=values)
        release.override(paused={"reason": "and this one?"})
        release.wait(
            "the operator to answer", 120, lambda: release.condition("Paused")["message"] == "and this one?"
        )
        counted = serving.untouched()
        step(f"{counted['sent']} requests, {counted['failed']} of them failed")


def step(name: str) -> None:
    sys.stdout.write(f"{time.strftime('%X')} {name}\n")
