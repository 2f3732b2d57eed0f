"""The command line: what the Job runs, and what a person runs against a URL."""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Final

import pydantic

from canary_checks import console, failure, job, laptop, request, result, schema
from canary_checks import vocabulary as v

_EXIT: Final = {
    v.Verdict.PASS: 0,
    v.Verdict.FAIL: 1,
    v.Verdict.INCONCLUSIVE: 3,
    v.Verdict.NO_DATA: 3,
    v.Verdict.ERROR: 4,
}
_ERROR: Final = 4
_PRECEDENCE: Final = (v.Verdict.FAIL, v.Verdict.ERROR, v.Verdict.INCONCLUSIVE, v.Verdict.NO_DATA)


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line without the program's name.

    Returns
    -------
    The exit code: of `run` 0 Pass, 1 Fail, 3 Inconclusive or NoData, 4 Error, 2 usage.
    """
    options = _parser().parse_args(arguments)
    if options.command == "job":
        return job.main()
    if options.command == "schema":
        sys.stdout.write(schema_text())
        return 0
    return _run(options)


def schema_text() -> str:
    """Return the JSON Schema of a result as the package's file holds it."""
    return json.dumps(result.result_json_schema(), indent=1, ensure_ascii=False) + "\n"


def exit_code(results: Sequence[schema.CheckResult]) -> int:
    """Return the exit code of several results: Fail > Error > Inconclusive, NoData > Pass."""
    found = {one.verdict for one in results}
    worst = next((verdict for verdict in _PRECEDENCE if verdict in found), v.Verdict.PASS)
    return _EXIT[worst]


def _run(options: argparse.Namespace) -> int:
    try:
        results = laptop.run(_task(options))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        sys.stderr.write(f"usage: {'.'.join(map(str, first['loc']))}: {first['msg']}\n")
        return job.BAD_REQUEST
    except (failure.CheckError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return _ERROR
    for one in results:
        if options.json:
            sys.stdout.write(result.dump(one) + "\n")
        else:
            sys.stdout.write("\n".join(console.lines(one)) + "\n")
    return exit_code(results)


def _task(options: argparse.Namespace) -> laptop.Task:
    compared = options.reference or options.reference_url or options.record
    default = "contract,repeatability,parity" if compared else "contract,repeatability"
    checks = (options.check or default).split(",")
    unknown = [check for check in checks if check not in laptop.CHECKS]
    if unknown:
        options.parser.error(
            f"--check: no such check: {', '.join(unknown)}; there are {', '.join(laptop.CHECKS)}"
        )
    return laptop.Task(
        url=options.url,
        path=options.path,
        model=options.model,
        checks=tuple(checks),
        numeric_class=v.NumericClass(options.numeric_class),
        contract=request.Contract(
            dimensions=options.dimensions,
            normalized="Unit" if options.unit else None,
            max_input_tokens=options.max_input_tokens,
        ),
        deadline_seconds=options.deadline,
        reference=options.reference,
        reference_url=options.reference_url,
        record=options.record,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="canary_checks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("job", help="run the check that the environment asks for")
    commands.add_parser("schema", help="print the JSON Schema of a result")
    run = commands.add_parser(
        "run", help="check a URL; exit code 0 Pass, 1 Fail, 3 Inconclusive or NoData, 4 Error, 2 usage"
    )
    run.set_defaults(parser=run)
    run.add_argument("--url", required=True, help="base URL of the server to check")
    run.add_argument("--model", required=True, help="the served model's name")
    run.add_argument(
        "--path", default="/v1/embeddings", help="path of the embeddings operation (%(default)s)"
    )
    run.add_argument("--check", help="some of contract,repeatability,parity")
    known = run.add_mutually_exclusive_group()
    known.add_argument("--reference", type=pathlib.Path, metavar="FILE", help="a recorded reference")
    known.add_argument("--reference-url", metavar="URL", help="a server to record the reference from, now")
    run.add_argument("--record", type=pathlib.Path, metavar="FILE", help="write the outputs as a reference")
    run.add_argument("--numeric-class", default="fp32", choices=[c.value for c in v.NumericClass])
    run.add_argument("--dimensions", type=int, metavar="N", help="contract: length of the vectors")
    run.add_argument("--unit", action="store_true", help="contract: vectors have length 1")
    run.add_argument("--max-input-tokens", type=int, metavar="N", help="contract: texts are read so far")
    run.add_argument(
        "--deadline", type=int, default=300, metavar="SECONDS", help="of each check (%(default)s)"
    )
    run.add_argument("--json", action="store_true", help="one JSON result per line")
    return parser
