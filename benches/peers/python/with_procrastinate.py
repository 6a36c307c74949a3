"""procrastinate: a queue."""

import asyncio
import time

import procrastinate

import shared
from shared import order

# Tuning: asynchronous tasks, 32 at once on sixteen connections, notified of new jobs, and a poll
# that only stands by; it fetches jobs one by one.
CONNECTIONS = 16
CONCURRENCY = 32

executed = shared.Executed(order["tasks"])
moments = shared.Moments()
connector = procrastinate.PsycopgConnector(
    conninfo=order["url"], min_size=CONNECTIONS, max_size=CONNECTIONS
)
app = procrastinate.App(connector=connector)


@app.task(name="nothing")
async def nothing(number):
    executed.one_more()


@app.task(name="begin")
async def begin(number):
    moments.tell(number)


def start_worker():
    """Starts a worker in this event loop."""
    return asyncio.create_task(
        app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
    )


async def stop(worker):
    """Ends it."""
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def spawned():
    """W1."""

    async def spawn_all(numbers):
        for number in numbers:
            await nothing.defer_async(number=number)
        return len(numbers)

    shared.ready()
    begun = time.perf_counter()
    shares = [range(first, order["tasks"], order["clients"]) for first in range(order["clients"])]
    shared.rate(sum(await asyncio.gather(*map(spawn_all, shares))), begun)


async def add_all():
    """W2, and before W3."""
    jobs = [{"number": number} for number in range(order["tasks"])]
    return len(await nothing.batch_defer_async(*jobs))


async def drained():
    """W3."""
    await add_all()
    shared.ready()
    begun = time.perf_counter()
    worker = start_worker()
    await executed.wait_in_loop()
    await asyncio.to_thread(shared.recorded)
    shared.rate(executed.count, begun)
    await stop(worker)


async def started():
    """W6."""
    worker = start_worker()
    await asyncio.sleep(1)
    shared.ready()
    found = []
    for number, pause in enumerate(order["pauses_ms"]):
        await asyncio.sleep(pause / 1e3)
        await begin.defer_async(number=number)
        returned = time.perf_counter()
        found.append(await asyncio.to_thread(moments.since, returned, number))
    shared.latencies(found)
    await stop(worker)


async def main():
    """The workload that was ordered."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        match order["workload"]:
            case "W1":
                await spawned()
            case "W2":
                shared.ready()
                begun = time.perf_counter()
                shared.rate(await add_all(), begun)
            case "W3":
                await drained()
            case "W6":
                await started()


shared.note(f"asynchronous, {CONCURRENCY} jobs at once, {CONNECTIONS} connections, notified")
asyncio.run(main())
