"""Where spans are sent; nowhere by default."""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

import pydantic

from modelrelease.api import base

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Environment variables of OpenTelemetry; the exporter reads them itself."""
DISABLED: Final = "OTEL_SDK_DISABLED"
PATH: Final = "/v1/traces"


class Tracing(base.ApiModel):
    """The collector."""

    endpoint: Annotated[str, pydantic.Field(max_length=1024)] = ""
    """Of OTLP over HTTP, such as ``http://collector.monitoring.svc:4318``. Credentials belong into the
    variable ``OTEL_EXPORTER_OTLP_HEADERS``, from a Secret."""

    @pydantic.field_validator("endpoint")
    @classmethod
    def _plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValueError("must be an http or https URL with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must have neither credentials nor query nor fragment")
        return url.rstrip("/")

    def on(self, environment: Mapping[str, str]) -> bool:
        """Return whether spans are sent."""
        if environment.get(DISABLED, "").lower() == "true":
            return False
        return bool(self.endpoint) or any(environment.get(name) for name in ENDPOINTS)

    def url(self) -> str | None:
        """Return where to, or None: as the environment says."""
        return f"{self.endpoint}{PATH}" if self.endpoint else None
