"""Have the program in a sandbox look around, and judge what it saw.

The program comes with the image, in the agent, and the image is trusted: this finds an engine or a host that does not
do what it was told, not an image that lies. No guest has been in the sandbox, and none ever will be.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import to_json

from petri.selfcheck import file_probes
from petri.selfcheck.circumstances import Circumstances
from petri.selfcheck.observed import Line
from petri.selfcheck.probe import Result
from petri.selfcheck.probes import PROBES
from runners.channel import ChannelClosed
from runners.execution import Execution, FrameStream, NotExecuted, Outcome, StdinOverflow, execute
from runners.wire import RunnerProtocolError

PROGRAM = ("/opt/petri/agent", "selfcheck")

#: It takes some milliseconds. Long, since a machine that is starting up is busy.
_WITHIN_S = 20.0
#: A report is about 12 KiB, of which most are the mounts; where a wall is missing it is longer.
_MOST_BYTES = 1 << 20

_RUN = "program"


async def examine(channel: FrameStream, circumstances: Circumstances) -> tuple[Result, ...]:
    """The result of every probe. That nothing could be observed is a result, too."""
    execution = Execution(
        argv=PROGRAM,
        stdin=question(circumstances),
        timeout_s=_WITHIN_S,
        stream_limit=_MOST_BYTES,
        output_limit=2 * _MOST_BYTES,
        last=True,
    )
    try:
        outcome = await execute(channel, execution)
    except (ChannelClosed, RunnerProtocolError, NotExecuted, StdinOverflow) as error:
        return (_not_run(f"not run: {error}"),)
    return reported(outcome, circumstances)


def reported(outcome: Outcome, circumstances: Circumstances) -> tuple[Result, ...]:
    """What the program's end and its output come to."""
    if outcome.exit_code != 0:
        return (_not_run(_ending(outcome)),)
    try:
        lines = [Line.model_validate_json(line) for line in outcome.stdout.splitlines()]
    except ValidationError:
        return (_not_run("its output is no report: an image of an older Petri? `petri images build` makes a new one"),)
    return judged(lines, circumstances)


def judged(lines: Iterable[Line], circumstances: Circumstances) -> tuple[Result, ...]:
    """One result for each probe of the table, in its order, whatever was said."""
    said = {line.probe: line for line in lines}
    results = []
    for one in PROBES:
        line = said.get(one.name)
        if line is None:
            results.append(one.failed("not observed", circumstances))
        elif line.error:
            results.append(one.failed(f"not observed: {line.error}", circumstances))
        else:
            results.append(one.result(line.observed, circumstances))
    return tuple(results)


def question(circumstances: Circumstances) -> bytes:
    """Where to look."""
    return to_json(
        {
            "hidden": circumstances.hidden,
            "devices": file_probes.DEVICE_DIRECTORIES,
            "sockets": file_probes.SERVICES,
            "write": file_probes.TRIED,
            "sized": file_probes.WRITABLE,
            "fixed": file_probes.FIXED,
        }
    )


def _not_run(why: str) -> Result:
    return Result(_RUN, "`agent selfcheck` runs in the sandbox and reports", None, (why,))


def _ending(outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"not at its end within {_WITHIN_S:g} s"
    how = f"signal {outcome.signal}" if outcome.signal else f"status {outcome.exit_code}"
    words = outcome.stderr[:300].decode(errors="replace").strip()
    return f"ended with {how}: {words or 'it said nothing'}"
