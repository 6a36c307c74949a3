"""What all Python peers share: the order, the lines to the harness, and the clock.

The harness passes one JSON object as the only argument. The program says `ready`, waits for the
line `go`, measures, and says what it found; see `order.rs` of the harness.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

# How often the database is asked whether all ends are recorded, once all handlers have run.
LOOK_EVERY_SECONDS = 0.001
# Far above any latency; only a broken peer takes so long.
PATIENCE_SECONDS = 60
# A step's payload: a JSON string of a hundred bytes with its quotes.
PAYLOAD = "x" * 98

order = json.loads(sys.argv[1])


def say(**message):
    """Writes one line to the harness."""
    print(json.dumps(message, separators=(",", ":")), flush=True)


def note(text):
    """Says how the peer was tuned."""
    say(say="note", text=text)


def ready():
    """Says that all is prepared, and waits for the word to begin."""
    say(say="ready")
    if not sys.stdin.readline():
        sys.exit("nobody measures")


def rate(executed, begun):
    """Says how much was done since a moment of time.perf_counter()."""
    elapsed_us = round((time.perf_counter() - begun) * 1e6)
    say(say="rate", executed=executed, elapsed_us=elapsed_us)


def latencies(seconds):
    """Says each sample."""
    say(say="latencies", micros=[max(0, round(each * 1e6)) for each in seconds])


def recorded():
    """Waits until no task is without a recorded end."""
    with psycopg.connect(order["url"], autocommit=True) as connection:
        while connection.execute(order["unfinished"]).fetchone()[0] > 0:
            time.sleep(LOOK_EVERY_SECONDS)


def wait_for_count(sql, count):
    """Waits until a query counts so many rows."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(order["url"], autocommit=True) as connection:
        while connection.execute(sql).fetchone()[0] != count:
            if time.monotonic() > give_up:
                sys.exit(f"never {count}: {sql}")
            time.sleep(0.005)


def from_threads(client_of, spawn):
    """W1: so many threads, each with a client of its own, spawn one task after the other."""
    clients = [client_of() for _ in range(order["clients"])]
    shares = [range(first, order["tasks"], order["clients"]) for first in range(order["clients"])]

    def spawn_all(client, numbers):
        for number in numbers:
            spawn(client, number)
        return len(numbers)

    with ThreadPoolExecutor(order["clients"]) as threads:
        # The pool starts its threads at its first work.
        list(threads.map(lambda _: time.sleep(0.01), clients))
        ready()
        begun = time.perf_counter()
        rate(sum(threads.map(spawn_all, clients, shares)), begun)


class Moments:
    """Where handlers tell of a moment, with their number, and one thread hears of it."""

    def __init__(self):
        import queue

        self._told = queue.SimpleQueue()

    def tell(self, number):
        """Called by a handler."""
        self._told.put((number, time.perf_counter()))

    def since(self, returned, number):
        """Seconds from a call's return until the handler of that number told."""
        who, moment = self._told.get(timeout=PATIENCE_SECONDS)
        if who != number:
            sys.exit(f"task {who} told instead of {number}")
        return moment - returned

    def gaps(self, count):
        """Seconds between so many tellings in a row."""
        moments = [self._told.get(timeout=PATIENCE_SECONDS)[1] for _ in range(count)]
        return [later - earlier for earlier, later in zip(moments, moments[1:])]


def samples(act):
    """W6, W7: acts after each pause, and says what it returns: seconds."""
    found = []
    for number, pause in enumerate(order["pauses_ms"]):
        time.sleep(pause / 1e3)
        found.append(act(number))
    latencies(found)


class Executed:
    """Counts executions and says when there were enough, across threads."""

    def __init__(self, enough):
        import threading

        self._lock = threading.Lock()
        self._reached = threading.Event()
        self._enough = enough
        self.count = 0

    def one_more(self):
        """Called by a handler at its end."""
        with self._lock:
            self.count += 1
            if self.count == self._enough:
                self._reached.set()

    def wait(self):
        """Waits until there were enough."""
        self._reached.wait()

    async def wait_in_loop(self):
        """The same, in an event loop."""
        while not self._reached.is_set():
            await asyncio.sleep(LOOK_EVERY_SECONDS)
