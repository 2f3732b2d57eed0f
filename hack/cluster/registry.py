"""An image registry on loopback, whose images stay in the cache when the cluster goes."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import yaml

from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.settings import Settings, port_free
from hack.cluster.steps import StepError

NAME = "registry"


def responds(port: int, path: str, host: str = "127.0.0.1") -> Callable[[], bool]:
    """Return a check that a plain HTTP address answers 200."""

    def check() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def configuration(paths: ClusterPaths, settings: Settings) -> str:
    """Return the registry's configuration."""
    return yaml.safe_dump(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(paths.cache / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": settings.registry},
        }
    )


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Run the registry."""
    supervisor = Supervisor(paths)
    if not supervisor.alive(NAME) and not port_free(settings.registry_port):
        raise StepError(
            f"another program listens on {settings.registry}, the image registry's address",
            f"see which with `ss -ltnp 'sport = :{settings.registry_port}'` and end it",
        )
    config = paths.config / "registry.yml"
    write_if_changed(config, configuration(paths, settings))
    return supervisor.ensure(
        Daemon(
            NAME,
            ["docker-registry", "serve", str(config)],
            responds(settings.registry_port, "/v2/"),
            configs=(config,),
        )
    )
