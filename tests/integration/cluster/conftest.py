"""The port to the API server, and a release as a user would write it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.client import ApiClient

from modelrelease.cluster import client


@pytest.fixture
async def port(kubeconfig: str, api_client: ApiClient) -> AsyncIterator[client.KubernetesApi]:
    found = client.KubernetesApi(await client.configuration(kubeconfig), time.monotonic)
    yield found
    await found.close()


@pytest.fixture
def manifest(namespace: str) -> dict[str, Any]:
    """A ModelRelease as a user would write it."""
    return {
        "apiVersion": "modelrelease.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {"name": "embedder", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "model": {"version": "1", "embeddingSpace": "space-1"},
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "template": {
                "metadata": {"labels": {"app": "embedder"}},
                "spec": {
                    "containers": [
                        {
                            "name": "model",
                            "image": "example/model:1",
                            "args": ["sh", "-c", "a && b < c > d"],
                            "ports": [{"name": "model", "containerPort": 8000}],
                            "envFrom": [{"configMapRef": {"name": "prompts"}}],
                        }
                    ]
                },
            },
        },
    }
