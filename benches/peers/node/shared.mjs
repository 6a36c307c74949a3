// What all TypeScript peers share: the order, the lines to the harness, and the clock.
//
// The harness passes one JSON object as the only argument. The program says `ready`, waits for the
// line `go`, measures, and says what it found; see `order.rs` of the harness.
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

// How often the database is asked whether all ends are recorded, once all handlers have run.
const LOOK_EVERY_MS = 1;
// Far above any latency; only a broken peer takes so long.
const PATIENCE_MS = 60_000;
// A step's payload: a JSON string of a hundred bytes with its quotes.
export const PAYLOAD = "x".repeat(98);

export const order = JSON.parse(process.argv[2]);
export const now = () => performance.now();

// Writes one line to the harness, and waits until it is out.
function say(message) {
  return new Promise((done) => process.stdout.write(JSON.stringify(message) + "\n", done));
}

// Says how the peer was tuned.
export const note = (text) => say({ say: "note", text });

// Says that all is prepared, and waits for the word to begin.
export async function ready() {
  const lines = createInterface({ input: process.stdin });
  const go = once(lines, "line");
  await say({ say: "ready" });
  await go;
  lines.close();
  process.stdin.unref?.();
}

// Says how much was done since a moment of now().
export const rate = (executed, begun) =>
  say({ say: "rate", executed, elapsed_us: Math.round((now() - begun) * 1e3) });

// Says each sample; they are in milliseconds.
export const latencies = (samples) =>
  say({ say: "latencies", micros: samples.map((each) => Math.max(0, Math.round(each * 1e3))) });

async function connected(act) {
  const client = new pg.Client({ connectionString: order.url });
  await client.connect();
  try {
    return await act(async (sql) => Number((await client.query(sql)).rows[0].count));
  } finally {
    await client.end();
  }
}

// Waits until no task is without a recorded end.
export const recorded = () =>
  connected(async (count) => {
    while ((await count(order.unfinished)) > 0) {
      await sleep(LOOK_EVERY_MS);
    }
  });

// Waits until a query counts so many rows.
export const waitForCount = (sql, wanted) =>
  connected(async (count) => {
    const giveUp = now() + PATIENCE_MS;
    while ((await count(sql)) !== wanted) {
      if (now() > giveUp) {
        throw new Error(`never ${wanted}: ${sql}`);
      }
      await sleep(5);
    }
  });

// A pool whose connections stand already.
export async function warmPool(max) {
  const pool = new pg.Pool({ connectionString: order.url, max });
  const clients = await Promise.all(Array.from({ length: max }, () => pool.connect()));
  clients.forEach((client) => client.release());
  return pool;
}

// W1: so many clients spawn one task after the other.
export async function fromClients(spawn) {
  await ready();
  const begun = now();
  const counts = Array.from({ length: order.clients }, async (_, first) => {
    let count = 0;
    for (let number = first; number < order.tasks; number += order.clients) {
      await spawn(number);
      count += 1;
    }
    return count;
  });
  const executed = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  await rate(executed, begun);
}

// Counts executions and says when there were enough.
export class Executed {
  count = 0;
  constructor(enough = order.tasks) {
    this.enough = enough;
    this.reached = new Promise((resolve) => (this.resolve = resolve));
  }
  oneMore() {
    this.count += 1;
    if (this.count === this.enough) {
      this.resolve();
    }
  }
}

// W3, W4: what starts the worker is timed until the last end is recorded.
export async function drain(executed, start) {
  await ready();
  const begun = now();
  const worker = await start();
  await executed.reached;
  await recorded();
  await rate(executed.count, begun);
  return worker;
}

// Where handlers tell of a moment, with their number.
export class Moments {
  told = [];
  heard = () => {};
  tell(number) {
    this.told.push([number, now()]);
    this.heard();
  }
  async next() {
    const giveUp = sleep(PATIENCE_MS, "late", { ref: false });
    while (this.told.length === 0) {
      const heard = new Promise((resolve) => (this.heard = resolve));
      if ((await Promise.race([heard, giveUp])) === "late") {
        throw new Error("no handler told");
      }
    }
    return this.told.shift();
  }
  // Milliseconds from a call's return until the handler of that number told.
  async since(returned, number) {
    const [who, moment] = await this.next();
    if (who !== number) {
      throw new Error(`task ${who} told instead of ${number}`);
    }
    return moment - returned;
  }
  // Milliseconds between so many tellings in a row.
  async gaps(count) {
    const moments = [];
    while (moments.length < count) {
      moments.push((await this.next())[1]);
    }
    return moments.slice(1).map((moment, index) => moment - moments[index]);
  }
}

// W6, W7: acts after each pause, and says what it returns: milliseconds.
export async function samples(act) {
  await ready();
  const found = [];
  for (const [number, pause] of order.pauses_ms.entries()) {
    await sleep(pause);
    found.push(await act(number));
  }
  await latencies(found);
}

// Runs the workload that was ordered and ends, whatever a library still holds open.
export async function run(workloads) {
  await workloads[order.workload]();
  process.exit(0);
}
