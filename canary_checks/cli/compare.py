"""``modelrelease compare``: several candidates against one golden set and one reference, side by side."""

import pathlib
import string
from typing import Annotated

import typer

from canary_checks import vocabulary as v
from canary_checks.cli import compare_folders, exits, options, output, task

_LARGEST = len(string.ascii_uppercase)


def compare(
    *,
    folders: Annotated[
        list[pathlib.Path] | None,
        typer.Argument(
            metavar="[A B]", help="In place of servers: two folders of generators, and nothing runs."
        ),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]URL", help="A server to compare; repeat it. Unnamed ones are A, B, …"),
    ] = None,
    contract: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Folders: a contract whose `generation` declares what is stated."),
    ] = None,
    stable: options.Stable = None,
    reference: options.Reference = None,
    golden_set: options.GoldenSet = "builtin:TextV1",
    protocol: options.OneProtocol = v.Protocol.OPENAI_EMBEDDINGS,
    path: options.Path = None,
    model: options.Model = None,
    modality: options.OneModality = v.Modality.TEXT,
    operation: options.Operation = None,
    operations: options.Operations = None,
    numeric_class: options.NumericClass = v.NumericClass.FP32,
    gate: options.Gate = None,
    deadline: options.Deadline = 300,
    max_requests_per_second: options.Rate = None,
    output_format: Annotated[options.Format, typer.Option("--output", help="How results are written.")] = (
        options.Format.TEXT
    ),
    output_file: options.OutputFile = None,
) -> None:
    """Compare several candidates with one reference: one golden set, one column for each.

    With two folders A and B, as diffusers saves them: compare what they state (scheduler, VAE, text encoders,
    types of the weights) by name, and the token ids of prompts for every text encoder.

    Exit codes, of the worst candidate: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
    """

    def prepared() -> task.Task:
        if candidate is None or contract is not None:
            raise exits.UsageError("name servers by --candidate, or two folders; --contract is for folders")
        if stable is None and reference is None:
            raise exits.UsageError("there is nothing to compare with: --stable URL or --reference FILE")
        if len(candidate) > _LARGEST:
            raise exits.UsageError(f"--candidate: {len(candidate)} are more than {_LARGEST}")
        candidates = tuple(
            task.server(text, "--candidate", letter)
            for text, letter in zip(candidate, string.ascii_uppercase, strict=False)
        )
        if len({one.name for one in candidates}) != len(candidates):
            raise exits.UsageError("--candidate: two have the same name")
        return task.Task(
            checks=(task.Check.PARITY,),
            candidates=candidates,
            stable=task.server(stable, "--stable", "stable") if stable is not None else None,
            reference=task.reference(reference),
            golden_set=task.golden_set(golden_set),
            operations=task.asked_operations(
                operation, operations, protocol=protocol, modality=modality, path=path, model=model
            ),
            numeric_class=numeric_class,
            gates=task.gates(gate or ()),
            deadline_seconds=deadline,
            rate=max_requests_per_second,
        )

    def run() -> int:
        if not folders:
            return output.carry_out(prepared(), output_format, output_file)
        if candidate or stable or reference:
            raise exits.UsageError(
                "folders are compared with each other: leave --candidate and its references"
            )
        return compare_folders.run(
            folders,
            contract=contract,
            golden_set=golden_set,
            output_format=output_format,
            output_file=output_file,
        )

    raise typer.Exit(exits.guarded(run))
