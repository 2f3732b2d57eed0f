"""What every test shares: the profiles of Hypothesis; markers and time limits by folder."""

import os
from pathlib import Path

# A worker runs on every core: a second thread of the BLAS only waits. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
SLOW_FOLDERS = {
    "simulation": 600,
    "integration": 600,
    "e2e": 2700,
    "argocd": 900,
}  # marker of the same name: limit in seconds

# Each run searches anew and prints what reproduces a failure; CI's runs are all the same.
settings.register_profile("dev", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=2000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")
settings.load_profile(PROFILE)


def pytest_report_header() -> str:
    return f"hypothesis profile: {PROFILE}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if limit := SLOW_FOLDERS.get(folder):
            item.add_marker(getattr(pytest.mark, folder))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(limit))
