// DBOS for TypeScript, on PostgreSQL as its system database.
import { DBOS, DBOSClient } from "@dbos-inc/dbos-sdk";
import pg from "pg";
import * as shared from "./shared.mjs";
import { order } from "./shared.mjs";

// Tuning: workflows come from a queue, as they must where any worker may take them; it is polled
// as often as leaves time to work, a worker runs so many at once, on so many connections, and
// signals come by notification.
const CONCURRENCY = 100;
const POLL_MS = 10;
const CONNECTIONS = 20;
const QUEUE = "default";
const SAMPLES = order.pauses_ms.length;

const executed = new shared.Executed();
const moments = new shared.Moments();

const payload = () => DBOS.runStep(async () => shared.PAYLOAD, { name: "payload" });
const register = (name, act) => DBOS.registerWorkflow(act, { name });
register("nothing", async () => executed.oneMore());
register("steps", async (count) => {
  for (let number = 0; number < count; number += 1) {
    await payload();
  }
  executed.oneMore();
});
register("row", async (count) => {
  for (let number = 0; number < count; number += 1) {
    await payload();
    moments.tell(number);
  }
});
register("begin", async (number) => moments.tell(number));
register("resume", async (number) => {
  await DBOS.recv(undefined, 3600);
  moments.tell(number);
});

DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: order.url,
  systemDatabasePoolSize: CONNECTIONS,
  runAdminServer: false,
  logLevel: "error",
});

async function launch() {
  await DBOS.launch();
  await DBOS.registerQueue(QUEUE, {
    workerConcurrency: CONCURRENCY + SAMPLES,
    minPollingIntervalMs: POLL_MS,
  });
}

// Makes the schema, as a worker does when it starts, and a queue.
async function migrate() {
  await launch();
  await DBOS.shutdown();
}

const client = () =>
  DBOSClient.create({ systemDatabaseUrl: order.url, systemDatabasePoolSize: order.clients });
const enqueue = (producer, workflowName, params, workflowID) =>
  producer.enqueue({ workflowName, queueName: QUEUE, workflowID }, params);

// W3, W4. All are enqueued in one transaction, which is no public bulk call.
async function drain(workflowName, params) {
  await migrate();
  const producer = await client();
  const transaction = new pg.Client({ connectionString: order.url });
  await transaction.connect();
  await transaction.query("begin");
  const options = { workflowName, queueName: QUEUE };
  for (let number = 0; number < order.tasks; number += 1) {
    await producer.enqueueInTransaction(transaction, options, params(number));
  }
  await transaction.query("commit");
  await transaction.end();
  await shared.drain(executed, launch);
}

await shared.note(
  `${CONCURRENCY} workflows at once, ${CONNECTIONS} connections, queue polled every ${POLL_MS} ` +
    "ms, signals notified",
);
await shared.run({
  W1: async () => {
    await migrate();
    const producer = await client();
    await shared.fromClients((number) => enqueue(producer, "nothing", number));
  },
  W3: () => drain("nothing", (number) => number),
  W4: () => drain("steps", () => order.steps),
  W5: async () => {
    await launch();
    const producer = await client();
    await shared.ready();
    await enqueue(producer, "row", order.steps);
    await shared.latencies(await moments.gaps(order.steps));
  },
  W6: async () => {
    await launch();
    const producer = await client();
    await shared.samples(async (number) => {
      await enqueue(producer, "begin", number);
      return moments.since(shared.now(), number);
    });
  },
  W7: async () => {
    await launch();
    const producer = await client();
    for (let number = 0; number < SAMPLES; number += 1) {
      await enqueue(producer, "resume", number, `resume ${number}`);
    }
    await shared.waitForCount(
      "select count(*) from dbos.workflow_status where status = 'PENDING'",
      SAMPLES,
    );
    // The status says that they run, not yet that they wait.
    await new Promise((done) => setTimeout(done, 1000));
    await shared.samples(async (number) => {
      await producer.send(`resume ${number}`, number);
      return moments.since(shared.now(), number);
    });
  },
});
