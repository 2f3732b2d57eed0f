import pytest

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus.promql import selector
from modelrelease.prometheus.runtimes import RUNTIMES


def test_every_runtime_of_the_api_has_its_metrics() -> None:
    assert set(RUNTIMES) == set(Runtime)


@pytest.mark.parametrize("runtime", list(Runtime))
def test_no_runtime_uses_a_histogram_that_cannot_tell_users_from_probes(runtime: Runtime) -> None:
    metrics = RUNTIMES[runtime]
    assert "highr" not in metrics.latency_buckets
    assert metrics.latency_buckets.endswith("_bucket")
    assert metrics.path_labels


def test_infinity_counts_one_handler_and_others_may_say_no_path() -> None:
    infinity, generic = RUNTIMES[Runtime.INFINITY], RUNTIMES[Runtime.GENERIC]
    assert selector("m", infinity.matchers("/embeddings")) == 'm{handler="/embeddings"}'
    assert selector("m", generic.matchers("/a")) == 'm{handler=~"|/a",path=~"|/a",route=~"|/a"}'
