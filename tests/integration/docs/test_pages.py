"""What the pages tell people to type and to apply, by the real kubectl and a real API server."""

import subprocess
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, ApiException, CustomObjectsApi

from modelrelease.api import constants
from tests.unit.docs import blocks, test_commands, test_documents

COMMANDS = [
    command
    for block in blocks.of(*blocks.SHELLS)
    for command in blocks.commands(block)
    if command.words[0] == "kubectl" and test_commands.verb(list(command.words[1:])) not in {"mrel", "krew"}
]
RELEASES = [
    (block, document)
    for block in test_documents.BLOCKS
    for document in test_documents.load(block)
    if test_documents.releases(document) is not None
]
WORDS = [(block, text) for block, text in test_documents.HERE if f"kind: {constants.RELEASE_KIND}" in text]


def options(command: blocks.Command) -> tuple[str, frozenset[str]]:
    """Return the verb and the names of all options: commands that are alike in them need be asked once."""
    named = (word.partition("=")[0] for word in command.words[1:] if word.startswith("-"))
    return test_commands.verb(list(command.words[1:])), frozenset(named)


def test_kubectl_knows_every_option(kubeconfig: str) -> None:
    """Asked for its help behind all other options, it complains of one that does not exist."""
    distinct = {options(command): command for command in COMMANDS}
    assert len(distinct) > 20
    wrong = {}
    for command in distinct.values():
        asked = [*command.words, "--kubeconfig", kubeconfig, "--help"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=90)
        if done.returncode != 0:
            wrong[str(command)] = done.stderr.strip()
    assert wrong == {}


@pytest.fixture
def releases(api_client: ApiClient) -> CustomObjectsApi:
    return CustomObjectsApi(api_client)


@pytest.mark.parametrize(("block", "document"), RELEASES, ids=lambda value: str(value)[:40])
def test_the_api_server_takes_each_release(
    releases: CustomObjectsApi, namespace: str, block: blocks.Block, document: Any
) -> None:
    for release in test_documents.releases(document) or ():
        body = {**release, "metadata": {"name": release["metadata"]["name"]}}
        try:
            releases.create_namespaced_custom_object(
                constants.GROUP, constants.VERSION, namespace, constants.RELEASE_PLURAL, body, dry_run="All"
            )
        except ApiException as error:
            pytest.fail(f"{block}: {error.body}", pytrace=False)


@pytest.mark.parametrize(("block", "text"), WORDS, ids=lambda value: str(value)[:40])
def test_the_api_server_takes_each_word_of_a_person(
    releases: CustomObjectsApi, namespace: str, block: blocks.Block, text: str
) -> None:
    """Applied beside a release that is there, under a manager of its own."""
    word = yaml.safe_load(test_documents.whole(text))
    name = word["metadata"]["name"]
    place = (constants.GROUP, constants.VERSION, namespace, constants.RELEASE_PLURAL)
    release = {**test_documents.within({}), "metadata": {"name": name}}
    releases.create_namespaced_custom_object(*place, release)
    word["metadata"].pop("namespace", None)
    applied: Any = releases.patch_namespaced_custom_object(
        *place, name, word, field_manager="inc-1", _content_type="application/apply-patch+yaml"
    )
    assert applied["spec"]["override"].items() >= word["spec"]["override"].items()
