"""What a person asks for, checked and in the form that a probe takes."""

import dataclasses
import enum
import json
import pathlib
import re
import secrets
import urllib.parse
from collections.abc import Sequence
from typing import Final

import pydantic

from canary_checks import known_queries, operation, probing, request, result
from canary_checks import vocabulary as v
from canary_checks.cli import exits, operations, options
from canary_checks.performance import replay

PROBE_TOKEN_VARIABLE: Final = "MODELRELEASE_PROBE_TOKEN"


class Check(enum.StrEnum):
    """The checks that can be asked for."""

    PARITY = "parity"
    CONTRACT = "contract"
    REPEATABILITY = "repeatability"
    RETRIEVAL = "retrieval"
    PERFORMANCE = "performance"
    SOAK = "soak"
    FIDELITY = "fidelity"


LOADS: Final = (Check.PERFORMANCE, Check.SOAK)
"""Checks that replay a load."""


_KINDS: Final[dict[Check, request.ProbeKind]] = {
    Check.PARITY: v.CheckKind.EMBEDDING_PARITY,
    Check.CONTRACT: v.CheckKind.CONTRACT,
    Check.REPEATABILITY: v.CheckKind.REPEATABILITY,
    Check.RETRIEVAL: v.CheckKind.RETRIEVAL,
    Check.PERFORMANCE: v.CheckKind.PERFORMANCE,
    Check.SOAK: v.CheckKind.PERFORMANCE,
    Check.FIDELITY: v.CheckKind.FIDELITY,
}
_NAMED_URL: Final = re.compile(r"(?:([A-Za-z0-9][A-Za-z0-9._+-]{0,62})=)?(https?://[!-~]{1,500})")
_BUILTIN: Final = "builtin:"
_CONTRACT: Final = pydantic.TypeAdapter(request.Contract)


@dataclasses.dataclass(frozen=True)
class Server:
    """A server and what its column is called."""

    name: str
    url: str

    @property
    def host(self) -> str:
        """Host and port as a name: what a result says of where it was asked, without any password."""
        parts = urllib.parse.urlsplit(self.url)
        text = f"{parts.hostname or 'none'}-{parts.port}" if parts.port else (parts.hostname or "none")
        return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.") or "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Which checks of which servers, against what.

    Attributes
    ----------
    checks
        Which, in this order, of every candidate.
    stable
        Where the reference is recorded from, now.
    reference
        A file that holds one.
    retrieval
        How known queries are searched with.
    performance
        The load, of the checks that replay one.
    record
        Where what they measure is kept.
    probe
        Where the only candidate tells of itself.
    stable_rate
        At most so many requests per second to stable.
    """

    checks: tuple[Check, ...]
    candidates: tuple[Server, ...]
    operations: tuple[operation.Operation, ...]
    golden_set: request.GoldenSet
    numeric_class: v.NumericClass
    contract: request.Contract = dataclasses.field(default_factory=request.Contract)
    gates: tuple[request.GateOverride, ...] = ()
    retrieval: known_queries.Retrieval = dataclasses.field(default_factory=known_queries.Retrieval)
    performance: replay.Performance | None = None
    record: pathlib.Path | None = None
    stable: Server | None = None
    reference: pathlib.Path | None = None
    probe: probing.ProbeEndpoint | None = None
    deadline_seconds: int = 300
    rate: int | None = None

    @property
    def stable_rate(self) -> int:
        """At most so many requests per second to stable."""
        return self.rate or options.STABLE_REQUESTS_PER_SECOND

    def request(
        self,
        server: Server,
        check: Check,
        *,
        gates: Sequence[request.GateOverride] = (),
        record: bool = False,
        rate: int | None = None,
        live: request.LiveSource | None = None,
        references: tuple[request.ReferenceSource, ...] = (),
    ) -> request.CheckRequest:
        """Ask one server for one check.

        Parameters
        ----------
        server
            Which.
        check
            What.
        gates
            The overrides that this check knows.
        record
            Whether the outputs become a reference.
        rate
            At most so many requests per second.
        live
            Stable, where the check asks it by itself.
        references
            Files that the check reads itself.

        Raises
        ------
        pydantic.ValidationError
            Some argument has no valid form.
        """
        kind = _KINDS[check]
        configuration = {
            "kind": kind,
            "operations": [one.model_dump(mode="json") for one in self.operations],
            "goldenSet": self.golden_set.model_dump(mode="json"),
            "contract": self.contract.model_dump(mode="json"),
            "gates": [one.model_dump(mode="json") for one in gates],
            "numericClass": self.numeric_class,
        }
        searched = self.retrieval if check is Check.RETRIEVAL else None
        if searched is not None:
            configuration["retrieval"] = searched.model_dump(mode="json")
        load = self.performance if check in LOADS else None
        if load is not None:
            configuration["performance"] = load.model_dump(mode="json")
        digest = result.digest(json.dumps(configuration, sort_keys=True).encode())
        return request.CheckRequest(
            schema_version=v.SCHEMA,
            check=request.CheckIdentity(name=check.value, kind=kind, config_digest=digest),
            run="local",
            attempt=1,
            nonce=secrets.token_urlsafe(16),
            pod=request.PodIdentity(name=server.host, uid=server.host[:63].rstrip("-.") or "none"),
            url=server.url,
            operations=self.operations,
            subject=request.Subject(revision=server.name),
            numeric_class=self.numeric_class,
            golden_set=self.golden_set,
            contract=self.contract,
            probe=self.probe if server in self.candidates else None,
            gates=tuple(gates),
            record=record,
            # Recorded here for the vectors alone; asking for the rest would take stable's time.
            record_statements=False,
            retrieval=searched,
            live=live,
            performance=load,
            references=references,
            deadline_seconds=self.deadline_seconds,
            max_requests_per_second=rate,
        )


def server(text: str, option: str, name: str) -> Server:
    """Read ``URL`` or ``NAME=URL``.

    Parameters
    ----------
    text
        As given.
    option
        Its option, for the message.
    name
        The server's name where it is given none.

    Raises
    ------
    UsageError
        It is no http or https URL.
    """
    match = _NAMED_URL.fullmatch(text)
    if match is None:
        raise exits.UsageError(f"{option}: {text!r} is no URL that begins with http:// or https://")
    try:
        parts = urllib.parse.urlsplit(match[2])
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise exits.UsageError(f"{option}: {text!r} is no URL: {error}") from error
    if not valid:
        raise exits.UsageError(f"{option}: {text!r} is no URL of a server")
    return Server(match[1] or name, match[2])


def golden_set(text: str) -> request.GoldenSet:
    """Read ``builtin:NAME`` or the path of a folder.

    Raises
    ------
    UsageError
        There is no such set or folder.
    """
    if text.startswith(_BUILTIN):
        name = text.removeprefix(_BUILTIN)
        try:
            return request.GoldenSet.model_validate({"builtin": name})
        except pydantic.ValidationError as error:
            problem = exits.first_problem(error)
            raise exits.UsageError(f"--golden-set: there is no {text}: {problem}") from error
    folder = pathlib.Path(text)
    if not folder.is_dir():
        raise exits.UsageError(f"--golden-set: {text} is no folder; a built-in set is written builtin:TextV1")
    return request.GoldenSet(path=str(folder.resolve()))


def reference(path: pathlib.Path | None) -> pathlib.Path | None:
    """Find the one reference file at a path.

    Raises
    ------
    UsageError
        There is none, or there are several.
    """
    if path is None or path.is_file():
        return path
    if not path.is_dir():
        raise exits.UsageError(f"--reference: {path} does not exist")
    found = sorted(path.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise exits.UsageError(f"--reference: {path} must hold one .safetensors file, and holds {names}")
    return found[0]


def gates(texts: Sequence[str]) -> tuple[request.GateOverride, ...]:
    """Read limits such as ``CosineDistanceWorst=1e-4`` or ``RecallAt10.min=0.9``.

    Raises
    ------
    UsageError
        One is not of this form, or given twice.
    """
    said: dict[str, dict[str, str]] = {}
    found: dict[str, request.GateOverride] = {}
    for text in texts:
        name, equals, limit = text.partition("=")
        metric, _, bound = name.partition(".")
        if not equals:
            raise exits.UsageError(f"--gate: {text!r} is not METRIC=MAX or METRIC.LIMIT=VALUE")
        if (bound or "max") in said.setdefault(metric, {}):
            raise exits.UsageError(f"--gate: {name} is given twice")
        said[metric][bound or "max"] = limit
        try:
            found[metric] = request.GateOverride.model_validate({"metric": metric, **said[metric]})
        except pydantic.ValidationError as error:
            raise exits.UsageError(f"--gate {text}: {exits.first_problem(error)}") from error
    return tuple(found.values())


def retrieval(k: Sequence[int] | None, query_operation: str | None) -> known_queries.Retrieval:
    """Read how known queries are searched with.

    Raises
    ------
    UsageError
        A number is given twice, or five of them, or the operation's name is none.
    """
    try:
        return known_queries.Retrieval(k=tuple(k or (known_queries.K,)), query_operation=query_operation)
    except pydantic.ValidationError as error:
        raise exits.UsageError(f"--k, --query-operation: {exits.first_problem(error)}") from error


def probe(url: str | None, token_variable: str) -> probing.ProbeEndpoint | None:
    """Read where a probe endpoint is.

    Raises
    ------
    UsageError
        It is no URL, or the name is none of a variable.
    """
    if url is None:
        return None
    try:
        return probing.ProbeEndpoint(
            url=server(url, "--probe-url", "probe").url, token_variable=token_variable
        )
    except pydantic.ValidationError as error:
        raise exits.UsageError(f"--probe-token-env: {exits.first_problem(error)}") from error


def asked_operations(
    texts: Sequence[str] | None,
    file: pathlib.Path | None,
    *,
    protocol: v.Protocol,
    modality: v.Modality,
    path: str | None,
    model: str | None,
) -> tuple[operation.Operation, ...]:
    """Choose the operations: listed, of a file, or the one that the single options describe.

    Raises
    ------
    UsageError
        Both a list and a file are given, or something in them cannot be meant.
    """
    if texts and file is not None:
        raise exits.UsageError("--operation and --operations exclude each other")
    if texts:
        return operations.from_options(texts)
    if file is not None:
        return operations.from_file(file)
    name = "embeddings" if modality is v.Modality.TEXT else modality.lower()
    name = "images" if protocol.endswith("Images") else name
    try:
        return (operation.Operation(name=name, protocol=protocol, modality=modality, path=path, model=model),)
    except pydantic.ValidationError as error:
        raise exits.UsageError(f"--{exits.first_problem(error)}") from error


def contract(
    file: pathlib.Path | None,
    *,
    dimensions: int | None,
    unit: bool | None,
    max_input_tokens: int | None,
) -> request.Contract:
    """Put the statements about the outputs together; an option wins over the file.

    Raises
    ------
    UsageError
        The file cannot be read or says what no contract can say.
    """
    said = operations.document(file) if file is not None else {}
    if not isinstance(said, dict):
        raise exits.UsageError(f"{file}: it holds no contract")
    given = {
        "dimensions": dimensions,
        "normalized": None if unit is None else ("Unit" if unit else "None"),
        "maxInputTokens": max_input_tokens,
    }
    said = said | {name: value for name, value in given.items() if value is not None}
    try:
        return _CONTRACT.validate_json(json.dumps(said), by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        where = f"{file}: " if file is not None else ""
        raise exits.UsageError(f"contract: {where}{exits.first_problem(error)}") from error
    except TypeError as error:
        raise exits.UsageError(f"{file}: it is no mapping of plain values: {error}") from error
