"""``modelrelease check``: one candidate, by itself or against what is known to be good."""

import pathlib
from typing import Annotated

import typer

from canary_checks import vocabulary as v
from canary_checks.cli import exits, image_options, load_options, options, output, task


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
    k: options.K = None,
    query_operation: options.QueryOperation = None,
    concurrency: load_options.Concurrency = 4,
    duration: load_options.Duration = 60,
    max_requests: load_options.MaxRequests = 2000,
    warmup: load_options.Warmup = 5,
    arrivals_per_second: load_options.ArrivalsPerSecond = None,
    mix: load_options.Mix = None,
    accelerator: load_options.Accelerator = None,
    gpus: load_options.Gpus = None,
    servers: load_options.Servers = 1,
    price_per_gpu_hour: load_options.PricePerGpuHour = None,
    live_requests_per_second: load_options.LiveRequestsPerSecond = None,
    metrics_path: load_options.MetricsPath = "/metrics",
    record: load_options.Record = None,
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
    probe_url: options.ProbeUrl = None,
    probe_token_env: options.ProbeTokenEnv = task.PROBE_TOKEN_VARIABLE,
    deadline: options.Deadline = 300,
    max_requests_per_second: options.Rate = None,
    output_format: Annotated[options.Format, typer.Option("--output", help="How results are written.")] = (
        options.Format.TEXT
    ),
    output_file: options.OutputFile = None,
) -> None:
    """Check a candidate: PARITY, its CONTRACT, its REPEATABILITY, its RETRIEVAL, or several of them.

    PERFORMANCE and SOAK replay a load, each alone: --record keeps what it measured, --reference compares with
    that.

    Parity compares every vector with a recorded reference (--reference) or with a stable server (--stable).
    The contract is compared, with --probe-url, with what a server told when --reference was recorded. Of an
    image generator it is what it draws with, and --record keeps that.
    Retrieval searches with the known queries of --golden-set, and compares what is found with what they find.
    FIDELITY has an image generator draw prompts (builtin:PromptV1), and reads what it drew; alone, too.

    Exit codes: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
    """

    def prepared() -> task.Task:
        checks = tuple(dict.fromkeys(what))
        if task.Check.PARITY in checks and stable is None and reference is None:
            raise exits.UsageError("parity needs something to compare with: --stable URL or --reference FILE")
        unfit = {"--stable": stable, "--max-requests-per-second": max_requests_per_second}
        draws = image_options.alone(checks, stable, reference)
        asked = task.asked_operations(
            operation,
            operations,
            protocol=image_options.protocol(protocol) if draws else protocol,
            modality=modality,
            path=path,
            model=model,
        )
        drawn = draws or image_options.told(checks, asked)
        load_options.only(checks, task.LOADS, None if drawn else record, unfit)
        compares = draws or {task.Check.PARITY, task.Check.RETRIEVAL, *task.LOADS}.intersection(checks)
        if probe_url is not None and task.Check.CONTRACT not in checks:
            raise exits.UsageError("--probe-url is for the contract check alone: leave it, or add contract")
        told = task.Check.CONTRACT in checks and stable is None
        if not compares and not told and (stable is not None or reference is not None):
            raise exits.UsageError(
                f"{' and '.join(checks)} compare with nothing: leave --stable and --reference"
            )
        return task.Task(
            checks=checks,
            candidates=(task.server(candidate, "--candidate", "candidate"),),
            stable=task.server(stable, "--stable", "stable") if stable is not None else None,
            reference=task.reference(reference),
            golden_set=task.golden_set(image_options.golden_set(golden_set) if drawn else golden_set),
            operations=asked,
            numeric_class=numeric_class,
            gates=task.gates(gate or ()),
            retrieval=task.retrieval(k, query_operation),
            performance=load_options.performance(
                soak=task.Check.SOAK in checks,
                mix=mix,
                metrics_path=metrics_path,
                concurrency=concurrency,
                durationSeconds=duration,
                maxRequests=max_requests,
                warmupSeconds=warmup,
                requestsPerSecond=arrivals_per_second,
                hardware={"accelerator": accelerator, "gpus": gpus, "servers": servers},
                price={"perGpuHour": price_per_gpu_hour, "requestsPerSecond": live_requests_per_second},
            )
            if checks[0] in task.LOADS
            else None,
            record=record,
            contract=task.contract(
                contract, dimensions=dimensions, unit=unit, max_input_tokens=max_input_tokens
            ),
            probe=task.probe(probe_url, probe_token_env),
            deadline_seconds=deadline,
            rate=max_requests_per_second,
        )

    raise typer.Exit(exits.guarded(lambda: output.carry_out(prepared(), output_format, output_file)))
