"""What stages in Python share: params and result in the stage's form, errors that another try
can't mend, and a lease that is renewed while a program computes.

A worker of this kind serves one queue. `pipeline-worker` sends stages there by
`PIPELINE_STAGE_QUEUES`, for instance `photometry=pybdsf`.
"""

import ctypes
import errno
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from absurd_sdk import Absurd

# Seconds for which a run stays claimed when this worker falls silent, and between renewals.
LEASE = 60
RENEWAL = 5


class PermanentError(Exception):
    """What no further try can mend."""


@dataclass
class Params:
    """What a stage gets, nested or flat, as docs/pipeline.md has it."""

    config: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)

    @classmethod
    def read(cls, params):
        flat = dict(params)
        parts = [flat.pop(name, None) or {} for name in ("config", "inputs", "outputs")]
        flat = {name: value for name, value in flat.items() if value is not None}
        return cls(parts[0], {**flat, **parts[1]}, {**flat, **parts[2]})

    def path(self, name):
        """A file or folder that a stage before has made."""
        given = self.outputs.get(name)
        if given is None:
            raise PermanentError(f"this task needs `outputs.{name}`")
        path = Path(given)
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, f"{name} {path} is not there")
        return path


def is_permanent(error):
    """Which errors are tried again (row A.9 of the operators' documents): missing files, wrong
    values and a full disk are not; time-outs, connections and everything else are."""
    said = str(error).lower()
    is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    is_full = is_full or "disk full" in said or "no space left on device" in said
    is_wrong = isinstance(error, (PermanentError, ValueError, KeyError, FileNotFoundError))
    return is_full or is_wrong


def write_whole(path, text):
    """A file appears complete or not at all, however its writer ends."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)


def serve(name, stages):
    """Executes stages until the process is told to stop. `stages` are functions by the names of
    their tasks; each gets `Params` and returns the outputs that it has made."""
    queue = os.environ.get("ABSURD_QUEUE_NAME", name)
    worker = f"{name}-{os.getpid()}"
    app = Absurd(os.environ["ABSURD_DATABASE_URL"], queue_name=queue)
    if queue not in app.list_queues():
        app.create_queue()
    for task, (compute, limit) in stages.items():
        _register(app, worker, task, compute, limit)
    # SystemExit passes through the client, so that what computes is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"worker {worker} serves {', '.join(stages)} on queue {queue}", flush=True)
    app.start_worker(worker_id=worker, claim_timeout=LEASE, poll_interval=0.5)


def _register(app, worker, task, compute, limit):
    @app.register_task(name=task)
    def run(params, ctx):
        try:
            given = Params.read(params)
            made = ctx.step(task, lambda: _beside(ctx, compute, given, limit))
            return {"outputs": {**given.outputs, **made}}
        except Exception as error:
            if is_permanent(error):
                _end_for_good(app, worker, ctx, error)
            raise


def _end_for_good(app, worker, ctx, error):
    """Fails the task with all its attempts. The published client can't say that, our schema can;
    the failure that the client reports after this one comes too late and is dropped."""
    failure = {
        "op": "fail",
        "run": str(ctx._task["run_id"]),
        "reason": {"name": type(error).__name__, "message": str(error)},
        "terminal": True,
    }
    answer = app._conn.execute(
        "select code, message from absurd.write_runs(%s, %s, %s)",
        (ctx._queue_name, worker, json.dumps([failure])),
    ).fetchone()
    if answer and answer[0]:
        raise RuntimeError(f"the failure was refused: {answer[1]}") from error


def _beside(ctx, compute, given, limit):
    """Computes in a process of its own, and renews the lease meanwhile. The process, with all
    that it has started, is killed when the task is cancelled, when it takes too long, and when
    this worker dies."""
    # A forked process would share the worker's connection.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_compute, args=(theirs, compute, given, os.getpid()))
    process.start()
    theirs.close()
    deadline = time.monotonic() + limit
    try:
        while not ours.poll(RENEWAL):
            ctx.heartbeat()
            if time.monotonic() > deadline:
                raise TimeoutError(f"killed after {limit} s, the stage's limit")
        try:
            made, error = ours.recv()
        except EOFError:
            raise ChildProcessError("the computation died without a word") from None
        if error is not None:
            raise _same(*error)
        return made
    finally:
        _kill(process)


def _compute(pipe, compute, given, parent):
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    try:
        answer = (compute(given), None)
    except Exception as error:
        traceback.print_exc()
        answer = (None, (type(error).__name__, str(error), is_permanent(error)))
    pipe.send(answer)


def _same(name, message, permanent):
    """An error of the other process, by its name: its class may exist there only."""
    kind = PermanentError if permanent else RuntimeError
    return type(name, (kind,), {})(message)


def _kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()
