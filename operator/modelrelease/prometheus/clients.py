"""A client for each Prometheus server of the installation, each with threads of its own."""

from collections.abc import Callable
from concurrent import futures

from modelrelease.prometheus import client, sources


class Clients:
    """The installation's sources, ready to be asked for one purpose.

    Parameters
    ----------
    known
        The sources.
    monotonic
        A clock in seconds that never runs backwards.
    purpose
        What the threads are called after.
    threads
        How many each source gets, so that one that hangs takes none from another.
    """

    def __init__(
        self,
        known: sources.Sources,
        monotonic: Callable[[], float],
        *,
        purpose: str,
        threads: Callable[[sources.Source], int],
    ) -> None:
        self._known = known
        self._pools = {
            source.name: futures.ThreadPoolExecutor(
                threads(source), thread_name_prefix=f"{purpose}-{source.name}"
            )
            for source in known.sources
        }
        self._clients = {
            source.name: client.Prometheus(source, self._pools[source.name], monotonic)
            for source in known.sources
        }

    def named(self, name: str) -> client.Prometheus:
        """Return the client of a source.

        Raises
        ------
        modelrelease.prometheus.sources.UnknownSourceError
            The installation has none of that name.
        """
        self._known.named(name)
        return self._clients[name]

    def close(self) -> None:
        """Wait for no query: a thread that is still asking ends by its own time limit."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
