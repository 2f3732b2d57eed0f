"""The entry point of a check that can't be believed; the release's name says how."""

import asyncio
import json
import os
import pathlib

from canary_checks import job, request, result, runner

asked = json.loads(os.environ[job.REQUEST_VARIABLE])
lie = asked["run"].rsplit("-", 2)[0]
if lie == "old-nonce":
    asked["nonce"] = asked["nonce"][::-1]
question = request.CheckRequest.model_validate_json(json.dumps(asked), by_alias=True, by_name=False)
outcome = asyncio.run(runner.run(question))
honest = result.to_termination_message(outcome.result)
said = {
    "rubbish": "everything is fine, Pass",
    "nothing": "",
    "too-much": honest[:-1] + f', "more": "{"x" * 5000}"' + honest[-1],
    "old-nonce": honest,
    "killed": honest[: len(honest) // 2],
}[lie]
pathlib.Path("/dev/termination-log").write_text(said, encoding="utf-8")
if lie == "killed":
    too_much = b"x" * (1 << 30)  # no signal of its own ends the first process of a container: its limit does
