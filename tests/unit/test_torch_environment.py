"""What runs a model itself agrees with what everything else runs with."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, set[str]]:
    """Versions of each package; one for newer interpreters may stand beside that for ours."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([a-z0-9._-]+)==([^ \\;]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE
    ):
        found.setdefault(package, set()).add(version)
    return found


def test_torch_is_locked_with_the_versions_of_everything_else():
    ours, others = pins("requirements/torch.txt"), pins("requirements/dev.txt")
    assert {"torch", "transformers", "diffusers", "safetensors"} <= ours.keys()
    assert {name: one for name, one in ours.items() if name in others and not one <= others[name]} == {}


def test_torch_is_the_one_that_the_model_servers_have():
    assert pins("requirements/torch.txt")["torch"] == pins("hack/images/infinity/torch.txt")["torch"]
