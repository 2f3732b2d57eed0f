"""Krew's manifest of the plugin: what is said of it, and where its archives are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from hack.krew.archive import LAUNCHER, ROOT, Platform

TEMPLATE: Final = ROOT / "manifests" / "krew" / "mrel.yaml"


def render(version: str, base_url: str, digests: Mapping[Platform, str]) -> dict[str, Any]:
    """Return the manifest.

    Parameters
    ----------
    version
        Of the plugin, such as ``v1.2.3``.
    base_url
        The folder from which the archives are downloaded.
    digests
        SHA-256 of the archive of each platform that there is.
    """
    manifest: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    manifest["spec"] |= {
        "version": version,
        "platforms": [
            {
                "selector": {"matchLabels": {"os": platform.os, "arch": platform.arch}},
                "uri": f"{base_url.rstrip('/')}/{platform.file(version)}",
                "sha256": digest,
                "bin": LAUNCHER.name,
            }
            for platform, digest in digests.items()
        ],
    }
    return manifest


class _Dumper(yaml.SafeDumper):
    """Writes longer texts as they are read."""


def _text(dumper: yaml.SafeDumper, said: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style="|" if "\n" in said else None)


_Dumper.add_representer(str, _text)


def write(manifest: Mapping[str, Any], target: Path) -> None:
    """Write a manifest in the order in which it is read."""
    text = yaml.dump(dict(manifest), Dumper=_Dumper, sort_keys=False, width=110)
    target.write_text(text, encoding="utf-8")
