import pytest

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus.promql import selector
from modelrelease.prometheus.runtimes import RUNTIMES


def test_every_runtime_of_the_api_has_its_metrics() -> None:
    assert set(RUNTIMES) == set(Runtime)


@pytest.mark.parametrize("runtime", list(Runtime))
def test_no_runtime_uses_a_histogram_that_cannot_tell_users_from_probes(runtime: Runtime) -> None:
    latency = RUNTIMES[runtime].latency
    assert latency is None or "highr" not in latency.metric


def test_infinity_counts_one_handler_and_others_may_say_no_path() -> None:
    infinity, generic = RUNTIMES[Runtime.INFINITY], RUNTIMES[Runtime.GENERIC]
    (infinity_requests,), (generic_requests,) = infinity.counters, generic.counters
    assert selector("m", infinity_requests.paths.matchers("/embeddings")) == 'm{handler="/embeddings"}'
    assert (
        selector("m", generic_requests.paths.matchers("/a")) == 'm{handler=~"|/a",path=~"|/a",route=~"|/a"}'
    )
