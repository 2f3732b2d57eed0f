"""The words of the API server, the scheduler and the kubelet: what passes, and what somebody has to change.

Those of the API server and the scheduler were read on Kubernetes 1.35; the kubelet's are in its source.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.core import observation, refusals

RESTRICTED = (
    'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "model" must set '
    "securityContext.allowPrivilegeEscalation=false)"
)
LASTING = [
    (
        'pods "sa-6cc7fc6fc5-" is forbidden: error looking up service account shop/absent: '
        'serviceaccount "absent" not found',
        "ObjectNotFound",
        "ServiceAccount absent, which is not in the namespace: create it there, or correct the name.",
    ),
    (
        'pods "priority-b6f7bd686-" is forbidden: no PriorityClass with name absent was found',
        "ObjectNotFound",
        "PriorityClass absent, which is not in the cluster",
    ),
    (
        'pods "runtime-6f49cd56d9-" is forbidden: pod rejected: RuntimeClass "absent" not found',
        "ObjectNotFound",
        "RuntimeClass absent, which is not in the cluster",
    ),
    (
        'pods "r-86bcc9c59-wwr5c" is forbidden: maximum cpu usage per Container is 500m, but limit is 2',
        "PodRejected",
        "Its pods are refused: maximum cpu usage per Container is 500m, but limit is 2. Correct the template",
    ),
    (
        'Pod "r-689c977477-jxq7c" is invalid: spec.containers[0].resources.requests: Invalid value: "2": '
        "must be less than or equal to cpu limit of 500m",
        "PodRejected",
        "Its pods are refused: spec.containers[0].resources.requests",
    ),
    (
        'pods "q-76864dd4f-c5dw5" is forbidden: failed quota: q: must specify limits.cpu for: model',
        "PodRejected",
        "must specify limits.cpu for: model",
    ),
    (f'pods "pss-77f8855bbf-frbmg" is forbidden: {RESTRICTED}', "PodRejected", RESTRICTED),
    (
        'admission webhook "validate.kyverno.svc-fail" denied the request: no timeout is set',
        "PodRejected",
        "no timeout is set",
    ),
    (
        "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'gpu' with binding 'gpu' denied request: no team",
        "PodRejected",
        "no team",
    ),
]


@pytest.mark.parametrize(("said", "reason", "message"), LASTING)
def test_what_the_api_server_refuses_until_somebody_acts(said: str, reason: str, message: str):
    found = refusals.of_creation(said)
    assert found is not None
    assert found.reason == reason
    assert message in found.message
    assert "-wwr5c" not in found.message, "the pod's name is another one at each attempt"


@pytest.mark.parametrize(
    "said",
    [
        "",
        'pods "q-74" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0',
        'pods "q-74" is forbidden: status unknown for quota: q, resources: pods',
        'Internal error occurred: failed calling webhook "w": Post "https://w": context deadline exceeded',
        "Internal error occurred: resource quota evaluation timed out",
        'pods "p" is forbidden: not yet ready to handle request',
        'pods "p" is forbidden: error looking up service account shop/gpu: etcdserver: leader changed',
        'pods "p" is forbidden: unable to create new content in namespace x because it is being terminated',
        'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
        "the server is currently unable to handle the request",
    ],
)
def test_what_the_api_server_may_accept_later(said: str):
    assert refusals.of_creation(said) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_used_up_quota_is_nobodys_fault_whatever_else_is_said(before: str, after: str):
    said = f"{before}exceeded quota: q{after}"
    assert refusals.is_quota(said)
    assert refusals.of_creation(said) is None


@given(st.text(max_size=2000))
def test_a_message_is_one_bounded_paragraph(said: str):
    found = refusals.of_creation(f'pods "p" is forbidden: denied the request: {said}')
    assert found is None or (len(found.message) < 1000 and "\n" not in found.message)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('0/1 nodes are available: persistentvolumeclaim "absent" not found. not found', "absent"),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", ""),
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", ""),
        ('waiting for ephemeral volume controller to create the persistentvolumeclaim "scratch"', ""),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", ""),
    ],
)
def test_of_what_no_node_has_only_a_claim_must_be_made(said: str, name: str):
    found = refusals.of_placement(said)
    assert (found is not None) is bool(name)
    assert found is None or f"PersistentVolumeClaim {name}," in found.message


def waits(reason: str, message: str) -> observation.Container:
    return observation.Container("model", waiting_reason=reason, waiting_message=message)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('secret "token" not found', "SecretNotFound"),
        ("couldn't find key hf in Secret shop/token", "SecretNotFound"),
        ("couldn't find key PREFIX in ConfigMap shop/prompts", "PodRejected"),
        ('configmap "embedder-r0123456789-0" not found', "PodRejected"),
        ("container has runAsNonRoot and image will run as root (pod: x, container: model)", "PodRejected"),
        ("container's runAsUser breaks non-root policy (pod: x, container: model)", "PodRejected"),
        ('failed to prepare subPath for volumeMount "models" of container "model"', "PodRejected"),
        ('failed to create subPath directory for volumeMount "models" of container "model"', "PodRejected"),
        ("error SubPath `/x` must not be an absolute path", "PodRejected"),
        ("failed to sync secret cache: timed out waiting for the condition", ""),
        ("services have not yet been read at least once, cannot construct envvars", ""),
    ],
)
def test_what_the_kubelet_refuses(said: str, reason: str):
    found = refusals.of_container(waits("CreateContainerConfigError", said))
    assert (found.reason if found is not None else "") == reason
    assert found is None or (said in found.message and "container model" in found.message)


def test_an_image_without_a_command_is_refused_and_a_crash_is_not():
    no_command = waits("CreateContainerError", "failed to generate spec: no command specified")
    assert refusals.of_container(no_command) is not None
    assert refusals.of_container(waits("CrashLoopBackOff", 'secret "token" not found')) is None


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ('failed to resolve "x": pull access denied, repository does not exist or may require auth', True),
        ("unexpected status from HEAD request to https://r/v2/x: 401 Unauthorized", True),
        ("failed to authorize: failed to fetch oauth token: unexpected status: 403 Forbidden", True),
        ("failed to fetch oauth token: unexpected status from GET request: 503 Unavailable", False),
        ('failed to fetch oauth token: Get "https://r/token": dial tcp: i/o timeout', False),
        ("429 Too Many Requests: toomanyrequests: unauthorized pulls are limited", False),
        ('Back-off pulling image "x"', False),
    ],
)
def test_a_registry_that_wants_other_credentials(said: str, *, denied: bool):
    found = refusals.of_pull(waits("ErrImagePull", said), ())
    assert (found is not None) is denied
    assert found is None or found.message.endswith("Check the image's name and set imagePullSecrets.")
