"""What a real API server says of the Job that a check becomes."""

from modelrelease.cluster import api, client
from tests.unit.checks import given

NAMESPACE = api.Kind("v1", "Namespace", "namespaces")


async def test_a_job_is_valid_and_its_pod_fits_the_restricted_standard(
    port: client.KubernetesApi, namespace: str
):
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await port.merge(NAMESPACE, "", namespace, enforced)
    job = given.job()
    job["metadata"]["namespace"] = namespace
    del job["metadata"]["uid"]
    accepted = await port.create(api.JOB, job, dry_run=True)
    assert accepted["spec"]["podFailurePolicy"] == job["spec"]["podFailurePolicy"]
    template = job["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"] | {"name": "check", "namespace": namespace},
        "spec": template["spec"] | {"serviceAccountName": "default"},
    }
    assert (await port.create(api.POD, pod, dry_run=True))["metadata"]["name"] == "check"
