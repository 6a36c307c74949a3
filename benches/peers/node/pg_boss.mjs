// pg-boss: a queue.
import { PgBoss } from "pg-boss";
import * as shared from "./shared.mjs";
import { order } from "./shared.mjs";

// Tuning: batches of 200 jobs for four workers in W3, fetched again at once while they come back
// full; new jobs are notified; the shortest poll that it allows. In W6 a batch is one job.
const CONNECTIONS = 16;
const BATCH = 200;
const WORKERS = 4;
const POLL_SECONDS = 0.5;
const QUEUE = "default";
const drains = order.workload === "W3";

const executed = new shared.Executed();
const moments = new shared.Moments();
const boss = new PgBoss({
  connectionString: order.url,
  max: CONNECTIONS,
  useListenNotify: true,
  schedule: false,
  supervise: false,
});
boss.on("error", console.error);
await boss.start();
await boss.createQueue(QUEUE, { notify: true });

const handle = async (jobs) => {
  for (const job of jobs) {
    if (drains) {
      executed.oneMore();
    } else {
      moments.tell(job.data.number);
    }
  }
};
const startWorker = () =>
  boss.work(
    QUEUE,
    {
      batchSize: drains ? BATCH : 1,
      localConcurrency: WORKERS,
      burstWhenBatchFull: drains,
      pollingIntervalSeconds: POLL_SECONDS,
    },
    handle,
  );
const addAll = () =>
  boss.insert(
    QUEUE,
    Array.from({ length: order.tasks }, (_, number) => ({ data: { number } })),
    { returnId: true },
  );

await shared.note(
  `${CONNECTIONS} connections, notified, poll every ${POLL_SECONDS} s; for W3 ${WORKERS} workers ` +
    `with batches of ${BATCH}, each job's end recorded with its batch`,
);
await shared.run({
  W1: () => shared.fromClients((number) => boss.send(QUEUE, { number })),
  W2: async () => {
    await shared.ready();
    const begun = shared.now();
    const ids = await addAll();
    await shared.rate(ids.length, begun);
  },
  W3: async () => {
    await addAll();
    await shared.drain(executed, startWorker);
  },
  W6: async () => {
    await startWorker();
    await shared.samples(async (number) => {
      await boss.send(QUEUE, { number });
      return moments.since(shared.now(), number);
    });
  },
});
