"""``modelrelease check``: one candidate, by itself or against what is known to be good."""

import pathlib
from typing import Annotated

import typer

from canary_checks import vocabulary as v
from canary_checks.cli import exits, options, output, task


def check(
    *,
    what: Annotated[
        list[task.Check], typer.Argument(metavar="CHECK", help="Which: one, or several after each other.")
    ],
    candidate: Annotated[str, typer.Option(metavar="[NAME=]URL", help="The server to check.")],
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
    contract: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Contract: what the outputs must be, in YAML or JSON."),
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Contract: length of the vectors.")
    ] = None,
    unit: Annotated[
        bool | None, typer.Option("--unit/--no-unit", help="Contract: whether vectors have length 1.")
    ] = None,
    max_input_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Contract: texts are read so far.")
    ] = None,
    deadline: options.Deadline = 300,
    max_requests_per_second: options.Rate = None,
    output_format: Annotated[options.Format, typer.Option("--output", help="How results are written.")] = (
        options.Format.TEXT
    ),
    output_file: options.OutputFile = None,
) -> None:
    """Check a candidate: PARITY with a reference, its CONTRACT, its REPEATABILITY, or several of them.

    Parity compares every vector with a recorded reference (--reference) or with a stable server (--stable).

    Exit codes: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
    """

    def prepared() -> task.Task:
        checks = tuple(dict.fromkeys(what))
        if task.Check.PARITY in checks and stable is None and reference is None:
            raise exits.UsageError("parity needs something to compare with: --stable URL or --reference FILE")
        if task.Check.PARITY not in checks and (stable is not None or reference is not None):
            raise exits.UsageError(
                f"{' and '.join(checks)} compare with nothing: leave --stable and --reference"
            )
        return task.Task(
            checks=checks,
            candidates=(task.server(candidate, "--candidate", "candidate"),),
            stable=task.server(stable, "--stable", "stable") if stable is not None else None,
            reference=task.reference(reference),
            golden_set=task.golden_set(golden_set),
            operations=task.asked_operations(
                operation, operations, protocol=protocol, modality=modality, path=path, model=model
            ),
            numeric_class=numeric_class,
            gates=task.gates(gate or ()),
            contract=task.contract(
                contract, dimensions=dimensions, unit=unit, max_input_tokens=max_input_tokens
            ),
            deadline_seconds=deadline,
            rate=max_requests_per_second,
        )

    raise typer.Exit(exits.guarded(lambda: output.carry_out(prepared(), output_format, output_file)))
