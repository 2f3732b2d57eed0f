"""The Prometheus servers that an installation names. A ModelRelease names one; it cannot give a URL."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import pydantic
import yaml

from modelrelease.api import base

LabelName = Annotated[str, pydantic.Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
HeaderName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9-]+$", max_length=64)]
HeaderValue = Annotated[str, pydantic.Field(pattern=r"^[\x21-\x7e]+$", max_length=256)]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


AbsolutePath = Annotated[Path, pydantic.AfterValidator(_absolute)]


class SourcesError(ValueError):
    """The file of sources cannot be used; the message says why."""


class UnknownSourceError(LookupError):
    """A ModelRelease names a source that the installation does not have."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(
            f"no Prometheus source {name!r}; the installation has {', '.join(known) if known else 'none'}: "
            f"change source, or have it added to the operator's configuration"
        )


class BasicAuth(base.ApiModel):
    """User and password; the password stays in a mounted file and is read for each request."""

    username: Annotated[str, pydantic.Field(min_length=1, max_length=256)]
    password_file: AbsolutePath


class Tenant(base.ApiModel):
    """The header by which Mimir, Cortex or Thanos choose a tenant."""

    header: HeaderName = "X-Scope-OrgID"
    value: HeaderValue


class ClientCertificate(base.ApiModel):
    """What proves who we are to a server that asks for it; read anew for each connection."""

    certificate_file: AbsolutePath
    key_file: AbsolutePath


class Source(base.ApiModel):
    """One Prometheus, or what speaks its query API."""

    name: base.DnsLabel
    url: Annotated[str, pydantic.Field(max_length=2048)]
    bearer_token_file: AbsolutePath | None = None
    basic_auth: BasicAuth | None = None
    tenant: Tenant | None = None
    ca_file: AbsolutePath | None = None
    """Certificates to trust instead of the system's."""
    client_certificate: ClientCertificate | None = None
    timeout_seconds: Annotated[int, pydantic.Field(ge=1, le=10)] = 5
    """For one query, from connecting to the last byte."""
    concurrency: Annotated[int, pydantic.Field(ge=1, le=32)] = 4
    """Queries under way at once."""
    queries_per_second: Annotated[int, pydantic.Field(ge=1, le=1000)] = 20
    """More wait, and are an Error once they have waited too long."""
    pod_label: LabelName = "pod"
    namespace_label: LabelName = "namespace"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _verified(cls, said: Any) -> Any:
        if isinstance(said, dict) and {"insecureSkipVerify", "insecure_skip_verify"} & set(said):
            raise ValueError(
                "insecureSkipVerify does not exist here: anybody could answer for the server, and what it "
                "says releases models; name the server's CA in caFile"
            )
        return said

    @pydantic.field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        """Accept scheme, host, port and path; a query or credentials have no business in a file like this."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"\S+", url):
            raise ValueError("must be an http or https URL with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must have neither credentials nor query nor fragment")
        return url.rstrip("/")

    @pydantic.model_validator(mode="after")
    def _one_credential(self) -> "Source":
        if self.bearer_token_file is not None and self.basic_auth is not None:
            raise ValueError("bearerTokenFile and basicAuth exclude each other")
        return self

    @pydantic.model_validator(mode="after")
    def _trust_needs_tls(self) -> "Source":
        if self.url.startswith("http:") and (self.ca_file or self.client_certificate):
            raise ValueError("caFile and clientCertificate need an https URL")
        return self

    def files(self) -> tuple[Path, ...]:
        """Return the mounted files that it needs."""
        certificate = self.client_certificate
        password = self.basic_auth.password_file if self.basic_auth is not None else None
        pair = (certificate.certificate_file, certificate.key_file) if certificate is not None else ()
        return tuple(path for path in (self.bearer_token_file, password, self.ca_file, *pair) if path)


class Sources(base.ApiModel):
    """All sources of an installation."""

    sources: Annotated[tuple[Source, ...], pydantic.Field(max_length=64)] = ()

    @pydantic.model_validator(mode="after")
    def _unique(self) -> "Sources":
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self

    def missing(self) -> str | None:
        """Return which mounted file cannot be read, in a sentence, or None: asked once, at the start."""
        for source in self.sources:
            for path in source.files():
                try:
                    with path.open("rb"):
                        pass
                except OSError as error:
                    return f"Prometheus source {source.name!r} needs {path}: {error.strerror or error}"
        return None

    def named(self, name: str) -> Source:
        """Return one source.

        Raises
        ------
        UnknownSourceError
            If there is none of that name; it lists those there are.
        """
        for source in self.sources:
            if source.name == name:
                return source
        raise UnknownSourceError(name, tuple(sorted(source.name for source in self.sources)))


def load(path: Path) -> Sources:
    """Read the mounted file of sources.

    Parameters
    ----------
    path : Path
        A YAML file with one key, `sources`. An empty file names none.

    Returns
    -------
    Sources
        Validated.

    Raises
    ------
    SourcesError
        If the file cannot be read, is no YAML or says something unknown.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SourcesError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SourcesError(f"{path} is no YAML: {error}") from error
    try:
        return Sources.model_validate({} if document is None else document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise SourcesError(f"{path}: {where}: {first['msg']}") from error
