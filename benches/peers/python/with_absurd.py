"""The published Python client of Absurd, on upstream's schema or on ours."""

import threading
import time

from absurd_sdk import Absurd

import shared
from shared import order

# Tuning: the worker has one connection, so threads would only wait for each other: one at a
# time, a claim of a hundred tasks, and the shortest pause that leaves the processor free.
BATCH = 100
POLL_SECONDS = 0.005

executed = shared.Executed(order["tasks"])
moments = shared.Moments()


def client():
    """A client with a connection of its own, which knows all tasks."""
    app = Absurd(order["url"], queue_name="default")

    @app.register_task(name="nothing")
    def nothing(params, ctx):
        executed.one_more()

    @app.register_task(name="steps")
    def steps(params, ctx):
        for number in range(params):
            ctx.step(f"step {number}", lambda: shared.PAYLOAD)
        executed.one_more()

    @app.register_task(name="row")
    def row(params, ctx):
        for number in range(params):
            ctx.step(f"step {number}", lambda: shared.PAYLOAD)
            moments.tell(number)

    @app.register_task(name="begin")
    def begin(params, ctx):
        moments.tell(params)

    @app.register_task(name="resume")
    def resume(params, ctx):
        ctx.await_event(f"event {params}")
        moments.tell(params)

    return app


def start_worker():
    """Starts a worker in a thread; it is stopped by what is returned."""
    app = client()
    words = {"concurrency": 1, "batch_size": BATCH, "poll_interval": POLL_SECONDS}
    thread = threading.Thread(target=app.start_worker, kwargs=words)
    thread.start()

    def stop():
        app.stop_worker()
        thread.join()
        app.close()

    return stop


def drain():
    """W3, W4: the harness has filled the queue."""
    shared.ready()
    begun = time.perf_counter()
    stop = start_worker()
    executed.wait()
    shared.recorded()
    shared.rate(executed.count, begun)
    stop()


def row():
    """W5."""
    stop = start_worker()
    shared.ready()
    client().spawn("row", order["steps"])
    shared.latencies(moments.gaps(order["steps"]))
    stop()


def starts():
    """W6."""
    stop = start_worker()
    producer = client()
    shared.ready()

    def start(number):
        spawned = producer.spawn("begin", number)
        returned = time.perf_counter()
        latency = moments.since(returned, number)
        producer.await_task_result(spawned["task_id"], timeout=shared.PATIENCE_SECONDS)
        return latency

    shared.samples(start)
    stop()


def resumptions():
    """W7."""
    producer = client()
    count = len(order["pauses_ms"])
    for number in range(count):
        producer.spawn("resume", number)
    stop = start_worker()
    shared.wait_for_count("select count(*) from absurd.w_default", count)
    shared.ready()

    def resume(number):
        producer.emit_event(f"event {number}", number)
        return moments.since(time.perf_counter(), number)

    shared.samples(resume)
    stop()


shared.note(f"one at a time, claims of {BATCH}, poll every {POLL_SECONDS * 1e3:g} ms")
match order["workload"]:
    case "W1":
        shared.from_threads(client, lambda app, number: app.spawn("nothing", number))
    case "W3" | "W4":
        drain()
    case "W5":
        row()
    case "W6":
        starts()
    case "W7":
        resumptions()
