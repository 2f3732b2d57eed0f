"""``modelrelease golden record | diff | export-anchor | import-anchor``: recorded references."""

# ruff: noqa: PLC0415 - help and mistakes in arguments need neither numpy nor Pillow

import asyncio
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.cli import exits, options, task
from canary_checks.cli import golden_shared as shared

if TYPE_CHECKING:
    from canary_checks.parity import reference


def record(
    *,
    name: shared.Set,
    url: Annotated[str, typer.Option(metavar="URL", help="Base URL of the server.")],
    out: Annotated[
        pathlib.Path,
        typer.Option(metavar="DIR", help="References are written to DIR/<key>/outputs.safetensors."),
    ] = pathlib.Path("references"),
    protocol: options.OneProtocol = v.Protocol.OPENAI_EMBEDDINGS,
    path: options.Path = None,
    model: options.Model = None,
    modality: options.OneModality = v.Modality.TEXT,
    operation: options.Operation = None,
    operations: options.Operations = None,
    numeric_class: shared.OwnClass = v.NumericClass.FP32,
    revision: Annotated[str, typer.Option(help="Name of what is recorded.")] = "recorded",
    space: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its embedding space, as in the manifest.")
    ] = None,
    model_version: Annotated[str | None, typer.Option(help="Its version.")] = None,
    artifact_digest: Annotated[str | None, typer.Option(metavar="SHA256", help="Of its weights.")] = None,
    image_digest: Annotated[str | None, typer.Option(metavar="SHA256", help="Of its server's image.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Such as 'NVIDIA L4'; nothing for a CPU.")
    ] = None,
    recorded_by: Annotated[str | None, typer.Option(help="Who, or which job.")] = None,
    probe_url: options.ProbeUrl = None,
    probe_token_env: options.ProbeTokenEnv = task.PROBE_TOKEN_VARIABLE,
    max_requests_per_second: options.Rate = None,
    as_json: shared.Json = False,
) -> None:
    """Record what a server answers, as a reference; one that is not near to itself is refused."""

    def run() -> int:
        from canary_checks.golden import anchor, recorder
        from canary_checks.parity import reference

        if space is None and model_version is None:
            raise exits.UsageError("a reference is named by its --space, or else by its --model-version")
        server = shared.server(
            url,
            task.asked_operations(
                operation, operations, protocol=protocol, modality=modality, path=path, model=model
            ),
            numeric_class,
            max_requests_per_second,
            task.probe(probe_url, probe_token_env),
        )
        known = reference.Provenance(
            embedding_space=space,
            model_version=model_version,
            artifact_digest=artifact_digest,
            image_digest=image_digest,
            accelerator=accelerator,
            recorded_by=recorded_by,
        )
        with shared.waiting("recording"):
            content = asyncio.run(
                recorder.record(server, shared.load(name), revision=revision, provenance=known)
            )
        made = reference.decode(content)
        target = anchor.placed(out, made.header)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        shared.tell(
            _reference(target, made), f"{target}: {len(content):,} bytes, {made.digest}", as_json=as_json
        )
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def diff(
    *,
    candidate: Annotated[pathlib.Path, typer.Argument(metavar="A", help="A reference: file or folder.")],
    against: Annotated[pathlib.Path, typer.Argument(metavar="B", help="The one that is believed.")],
    golden_set: Annotated[
        str | None, typer.Option(metavar="builtin:NAME|DIR", help="What both were recorded with.")
    ] = None,
    common_items: Annotated[
        bool,
        typer.Option(
            "--common-items", help="Accept recordings of two versions of a set: compare what is the same."
        ),
    ] = False,
    output: options.Output = options.Format.TEXT,
    output_file: options.OutputFile = None,
) -> None:
    """Judge one reference against another one, as a check of parity would.

    Exit codes: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
    """

    def run() -> int:
        from canary_checks.cli import output as outputs
        from canary_checks.golden import replay

        ours, theirs = _read_reference(candidate, "A"), _read_reference(against, "B")
        pack = shared.load(golden_set or f"builtin:{ours.header.pack}")
        found = asyncio.run(replay.diff(ours, theirs, pack, common_items=common_items))
        outputs.write([found], output, output_file)
        return exits.exit_code([found])

    raise typer.Exit(exits.guarded(run))


def export_anchor(
    *,
    source: Annotated[
        pathlib.Path,
        typer.Argument(metavar="FILE", help="A reference, or a ConfigMap as JSON; - is standard input."),
    ],
    out: Annotated[pathlib.Path, typer.Option(metavar="FILE", help="Where to write the reference.")],
    as_json: shared.Json = False,
) -> None:
    """Take a recorded reference out of its ConfigMap, as `kubectl get configmap NAME -o json` prints it."""

    def run() -> int:
        from canary_checks.golden import anchor
        from canary_checks.parity import reference

        if str(source) == "-":
            content = sys.stdin.buffer.read(anchor.CONFIG_MAP_JSON_BYTES)
        else:
            content = source.read_bytes()
        held = anchor.exported(content)
        out.write_bytes(held)
        made = reference.decode(held)
        shared.tell(_reference(out, made), f"{out}: {made.header.revision}, {made.digest}", as_json=as_json)
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def import_anchor(
    *,
    source: Annotated[pathlib.Path, typer.Argument(metavar="FILE", help="A reference.")],
    into: Annotated[pathlib.Path, typer.Option(metavar="NAME", help="Folder of the golden set.")],
    digest: Annotated[str | None, typer.Option(metavar="SHA256", help="That it must have.")] = None,
    as_json: shared.Json = False,
) -> None:
    """Put a reference beside the golden set that it was recorded with, after proving that it is its own."""

    def run() -> int:
        from canary_checks.golden import anchor
        from canary_checks.parity import reference

        content = source.read_bytes()
        target = anchor.imported(into, shared.load(str(into)), content, expected_digest=digest)
        made = reference.decode(content)
        shared.tell(
            _reference(target, made), f"{target}: {made.header.revision}, {made.digest}", as_json=as_json
        )
        return exits.PASS

    raise typer.Exit(exits.guarded(run))


def _read_reference(path: pathlib.Path, what: str) -> "reference.Reference":
    from canary_checks.parity import reference

    found = task.reference(path)
    if found is None:
        raise failure.CheckError("ReferenceMissing", f"there is no reference {what}")
    return reference.load(str(found), None)


def _reference(path: pathlib.Path, made: "reference.Reference") -> dict[str, Any]:
    return {"path": str(path), "digest": made.digest} | made.header.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"operations"}
    )
