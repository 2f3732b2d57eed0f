"""The manifest that Krew reads: what its own validation asks for."""

import re
from pathlib import Path

import pytest
import yaml

from hack.krew import archive, manifest

DIGEST = "0" * 64
RENDERED = manifest.render("v1.2.3", "https://example.org/files/", dict.fromkeys(archive.PLATFORMS, DIGEST))


def test_it_is_a_plugin_of_the_version_that_krew_reads():
    assert RENDERED["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert RENDERED["kind"] == "Plugin"
    assert re.fullmatch(r"[a-z][-a-z0-9]*", RENDERED["metadata"]["name"])
    assert re.fullmatch(r"v\d+\.\d+\.\d+", RENDERED["spec"]["version"])
    assert "\n" not in RENDERED["spec"]["shortDescription"]
    assert len(RENDERED["spec"]["shortDescription"]) <= 50


def test_the_version_is_the_projects():
    assert re.fullmatch(r"v\d+\.\d+\.\d+", archive.version())


@pytest.mark.parametrize("entry", RENDERED["spec"]["platforms"], ids=lambda entry: entry["uri"][-25:])
def test_each_platform_has_an_archive_of_its_own(entry: dict):
    assert set(entry) == {"selector", "uri", "sha256", "bin"}
    chosen = entry["selector"]["matchLabels"]
    assert entry["uri"] == (
        f"https://example.org/files/kubectl-mrel-v1.2.3-{chosen['os']}-{chosen['arch']}.tar.gz"
    )
    assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
    assert entry["bin"] == "kubectl-mrel", "what kubectl looks for"


def test_no_two_archives_are_for_the_same_platform():
    chosen = [tuple(entry["selector"]["matchLabels"].values()) for entry in RENDERED["spec"]["platforms"]]
    assert len(set(chosen)) == len(chosen) == len(archive.PLATFORMS)


def test_what_is_written_is_what_was_meant(tmp_path: Path):
    manifest.write(RENDERED, tmp_path / "mrel.yaml")
    text = (tmp_path / "mrel.yaml").read_text()
    assert yaml.safe_load(text) == RENDERED
    assert "description: |\n" in text, "people read it"


def test_the_launcher_is_understood_by_pythons_that_it_refuses():
    # Syntax alone: an old Python must come as far as the sentence about its age.
    text = archive.LAUNCHER.read_text()
    assert not re.search(r"\bf[\"']|:=|\bmatch\b", text)
    assert archive.LAUNCHER.stat().st_mode & 0o111
