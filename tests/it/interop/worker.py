"""A worker of the published Python client: url, then it works until it is killed."""

import sys

from absurd_sdk import Absurd

app = Absurd(sys.argv[1], queue_name="default")


@app.register_task(name="tour")
def tour(params, ctx):
    first = ctx.step("count", lambda: params["start"] + 1)
    again = ctx.step("count", lambda: first + 1)
    ctx.sleep_for("nap", 0.01)
    bonus = ctx.await_event(f"bonus:{params['key']}", timeout=60)
    ctx.step("last", lambda: None)
    return {"sum": first + again + bonus["value"], "by": "python", "headers": ctx.headers}


@app.register_task(name="fragile")
def fragile(params, ctx):
    done = ctx.step("done before", lambda: "kept")
    if params["fail"]:
        raise ValueError("as it was asked for")
    return done


@app.register_task(name="patient")
def patient(params, ctx):
    return ctx.await_event("never")


app.start_worker(worker_id="python", claim_timeout=30, concurrency=1, poll_interval=0.05)
