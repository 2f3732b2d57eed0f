"""A dozen faults, each made in a real pipeline and named: the short form of the confusion table."""

import pytest

from canary_checks import vocabulary as v
from hack.faults.generators import faults, measuring

LIKELY, PROVEN = v.Confidence.LIKELY, v.Confidence.PROVEN
SHORT = {
    "beta schedule: linear": ("SchedulerConfig", PROVEN),
    "steps: 3 for 4": ("StepAliasing", PROVEN),
    "guidance: 15 for 7.5": ("OverGuidance", PROVEN),
    "prompt cut after 12 tokens": ("Truncation", PROVEN),
    "text encoder: last layer missing": ("TextEncoder", LIKELY),
    "second text encoder: other weights": ("TextEncoder", LIKELY),
    "cross attention of one layer zeroed": ("ConditioningCollapse", LIKELY),
    "adapter not loaded": ("Adapter", PROVEN),
    "weights: one block new": ("DenoiserWeights", LIKELY),
    "VAE: scaling factor of another model": ("LatentScale", PROVEN),
    "red and blue exchanged": ("ChannelOrder", PROVEN),
    "dropout left on": ("Nondeterminism", PROVEN),
}
CASES = {case.name: case for case in (*faults.FAULTS, *faults.BENIGN)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return measuring.Bench(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_is_caught_and_named(bench, name):
    found = bench.measure(CASES[name])

    assert found.verdict is v.Verdict.FAIL
    assert (found.cause, found.blame.report.confidence) == SHORT[name], found.blame.report
    assert found.cause in found.case.accepted


@pytest.mark.parametrize("name", ["the same again", "another attention kernel"])
def test_what_changes_nothing_passes(bench, name):
    assert bench.measure(CASES[name]).verdict is v.Verdict.PASS
