"""DBOS for Python, on PostgreSQL as its system database."""

import time

import sqlalchemy
from dbos import DBOS, DBOSClient

import shared
from shared import order

# Tuning: workflows come from a queue, as they must where any worker may take them; it is polled
# as often as leaves time to work, a worker runs so many at once, on so many connections, and
# signals come by notification.
CONCURRENCY = 64
POLL_SECONDS = 0.01
CONNECTIONS = 20
QUEUE = "default"

executed = shared.Executed(order["tasks"])
moments = shared.Moments()
# SQLAlchemy takes the driver's name from the URL.
url = order["url"].replace("postgres://", "postgresql://", 1)


@DBOS.step()
def payload():
    return shared.PAYLOAD


@DBOS.workflow(name="nothing")
def nothing(number):
    executed.one_more()


@DBOS.workflow(name="steps")
def steps(count):
    for _ in range(count):
        payload()
    executed.one_more()


@DBOS.workflow(name="row")
def row(count):
    for number in range(count):
        payload()
        moments.tell(number)


@DBOS.workflow(name="begin")
def begin(number):
    moments.tell(number)


@DBOS.workflow(name="resume")
def resume(number):
    DBOS.recv(timeout_seconds=3600)
    moments.tell(number)


def launch():
    """Starts a worker."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "sys_db_pool_size": CONNECTIONS,
            # Those that wait for a signal hold a thread each.
            "max_executor_threads": CONCURRENCY + len(order["pauses_ms"]),
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    workers = CONCURRENCY + len(order["pauses_ms"])
    DBOS.register_queue(QUEUE, worker_concurrency=workers, polling_interval_sec=POLL_SECONDS)


def migrate():
    """Makes the schema, as a worker does when it starts, and a queue."""
    launch()
    DBOS.destroy(destroy_registry=False)


def client():
    """A producer."""
    return DBOSClient(system_database_url=url)


def enqueue(producer, name, params, workflow_id=None):
    """Spawns one."""
    options = {"workflow_name": name, "queue_name": QUEUE}
    if workflow_id:
        options["workflow_id"] = workflow_id
    return producer.enqueue(options, params)


def drained(name, params):
    """W3, W4. All are enqueued in one transaction, which is no public bulk call."""
    migrate()
    producer = client()
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    options = {"workflow_name": name, "queue_name": QUEUE}
    with engine.begin() as transaction:
        for number in range(order["tasks"]):
            producer.enqueue_in_transaction(transaction, options, params(number))
    shared.ready()
    begun = time.perf_counter()
    launch()
    executed.wait()
    shared.recorded()
    shared.rate(executed.count, begun)
    DBOS.destroy()


def in_a_row():
    """W5."""
    launch()
    producer = client()
    shared.ready()
    enqueue(producer, "row", order["steps"])
    shared.latencies(moments.gaps(order["steps"]))
    DBOS.destroy()


def started():
    """W6."""
    launch()
    producer = client()
    shared.ready()

    def start(number):
        handle = enqueue(producer, "begin", number)
        latency = moments.since(time.perf_counter(), number)
        handle.get_result(polling_interval_sec=0.005)
        return latency

    shared.samples(start)
    DBOS.destroy()


def resumed():
    """W7."""
    launch()
    producer = client()
    count = len(order["pauses_ms"])
    for number in range(count):
        enqueue(producer, "resume", number, f"resume {number}")
    shared.wait_for_count(
        "select count(*) from dbos.workflow_status where status = 'PENDING'", count
    )
    # The status says that they run, not yet that they wait.
    time.sleep(1)
    shared.ready()

    def resume_one(number):
        producer.send(f"resume {number}", number)
        return moments.since(time.perf_counter(), number)

    shared.samples(resume_one)
    DBOS.destroy()


shared.note(
    f"{CONCURRENCY} workflows at once, {CONNECTIONS} connections, queue polled every "
    f"{POLL_SECONDS * 1e3:g} ms, signals notified"
)
match order["workload"]:
    case "W1":
        migrate()
        shared.from_threads(client, lambda producer, number: enqueue(producer, "nothing", number))
    case "W3":
        drained("nothing", lambda number: number)
    case "W4":
        drained("steps", lambda _: order["steps"])
    case "W5":
        in_a_row()
    case "W6":
        started()
    case "W7":
        resumed()
