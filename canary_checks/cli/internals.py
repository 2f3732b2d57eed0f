"""``modelrelease check internals``: run a model's files here, and compare what happens inside."""

import asyncio
import json
import pathlib
import secrets
import tempfile
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from canary_checks import failure, operation, request, result
from canary_checks import vocabulary as v
from canary_checks.cli import exits, options, output, task
from canary_checks.internals import asked as inside

if TYPE_CHECKING:
    from canary_checks import runner

_NOWHERE: Final = "http://localhost/"
"""No server is asked."""
_REVISION: Final = "reference"


def internals(
    *,
    folder: Annotated[pathlib.Path, typer.Argument(metavar="FOLDER", help="Of diffusers or transformers.")],
    reference: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FOLDER|FILE", help="What to compare with: another model, or a record of one."),
    ] = None,
    record: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Where what was seen is kept."),
    ] = None,
    golden_set: options.GoldenSet = "builtin:PromptV1",
    prompts: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="How many are run.")] = 8,
    library: Annotated[inside.Library | None, typer.Option(help="By default what the files are.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Of diffusers; the pipeline's by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=200, metavar="N", help="Of denoising.")] = None,
    guidance: Annotated[str | None, typer.Option(metavar="SCALE", help="Of guidance.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the first prompt.")] = 0,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V,V…",
            help="Settings to try besides: schedulers=…, steps=…, guidance=…; every one with every other.",
        ),
    ] = None,
    numeric_class: Annotated[
        v.NumericClass, typer.Option(help="In which numbers the model is run.")
    ] = v.NumericClass.FP32,
    gate: options.Gate = None,
    deadline: options.Deadline = 3600,
    output_format: Annotated[options.Format, typer.Option("--output", help="How the result is written.")] = (
        options.Format.TEXT
    ),
    output_file: options.OutputFile = None,
) -> None:
    """Run a model from its files and compare what happens inside: attention, latents, stages, decoder.

    It needs torch, transformers and, for pipelines, diffusers in this environment. Weights are read from
    safetensors alone, nothing is downloaded, and no code of the folder is run.

    Exit codes: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
    """

    def carry_out() -> int:
        said = {
            "folder": str(folder.resolve()),
            "library": library,
            "prompts": prompts,
            "scheduler": scheduler,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "sweep": _sweep(sweep or ()),
        }
        wanted = inside.Internals.model_validate_json(json.dumps(said))
        if reference is not None and not reference.exists():
            raise exits.UsageError(f"--reference: {reference} does not exist")
        pack = task.golden_set(golden_set)
        with tempfile.TemporaryDirectory() as below:
            known = reference
            if reference is not None and reference.is_dir():
                known = pathlib.Path(below) / "reference.safetensors"
                there = wanted.model_copy(update={"folder": str(reference.resolve())})
                known.write_bytes(
                    _recorded(_ask(there, pack, numeric_class, deadline=deadline, record=True), reference)
                )
            asked = _ask(
                wanted,
                pack,
                numeric_class,
                deadline=deadline,
                record=record is not None,
                gates=task.gates(gate or ()),
                reference=known,
            )
            found = _run(asked)
        if record is not None and found.content.recorded is not None:
            record.write_bytes(found.content.recorded)
        output.write([found.result], output_format, output_file)
        return exits.exit_code([found.result])

    raise typer.Exit(exits.guarded(carry_out))


def _run(asked: request.CheckRequest) -> "runner.Outcome":
    # Help and a mistake need no numerics.
    from canary_checks import runner  # noqa: PLC0415

    return asyncio.run(runner.run(asked))


def _recorded(asked: request.CheckRequest, folder: pathlib.Path) -> bytes:
    """Run the reference, and return its record."""
    found = _run(asked)
    if found.content.recorded is None:
        raise failure.CheckError(
            found.result.reason if found.result.verdict is v.Verdict.ERROR else "ReferenceUnfit",
            f"the reference {folder} cannot be compared with: {found.result.message}",
        )
    return found.content.recorded


def _sweep(texts: list[str] | tuple[str, ...]) -> dict[str, list[Any]] | None:
    made: dict[str, list[Any]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in {"schedulers", "steps", "guidance"} or not values or name in made:
            raise exits.UsageError(f"--sweep: {text!r} is not schedulers=…, steps=… or guidance=…, each once")
        parts = values.split(",")
        try:
            made[name] = [int(part) for part in parts] if name == "steps" else list(parts)
        except ValueError as error:
            raise exits.UsageError(f"--sweep: {text!r} holds no numbers of steps") from error
    return made or None


def _ask(
    wanted: inside.Internals,
    pack: request.GoldenSet,
    numeric_class: v.NumericClass,
    *,
    deadline: int,
    record: bool,
    gates: tuple[request.GateOverride, ...] = (),
    reference: pathlib.Path | None = None,
) -> request.CheckRequest:
    """Make the request that the operator would make of a pod."""
    configuration = {
        "internals": wanted.model_dump(mode="json", exclude={"folder"}),
        "goldenSet": pack.model_dump(mode="json"),
        "gates": [one.model_dump(mode="json") for one in gates],
        "numericClass": numeric_class,
    }
    digest = result.digest(json.dumps(configuration, sort_keys=True).encode())
    references: tuple[request.ReferenceSource, ...] = ()
    if reference is not None:
        references = (
            request.ReferenceSource(
                role=v.Role.RECORDED,
                revision=_REVISION,
                path=str(reference.resolve()),
                digest=result.digest(reference.read_bytes()),
                numeric_class=numeric_class,
            ),
        )
    return request.CheckRequest(
        schema_version=v.SCHEMA,
        check=request.CheckIdentity(name="internals", kind=v.CheckKind.INTERNALS, config_digest=digest),
        run="local",
        attempt=1,
        nonce=secrets.token_urlsafe(16),
        pod=request.PodIdentity(name="local", uid="local"),
        url=_NOWHERE,
        operations=(operation.Operation(name="model", protocol=v.Protocol.OPENAI_EMBEDDINGS),),
        subject=request.Subject(revision="candidate"),
        numeric_class=numeric_class,
        golden_set=pack,
        references=references,
        internals=wanted,
        gates=gates,
        record=record,
        deadline_seconds=deadline,
    )
