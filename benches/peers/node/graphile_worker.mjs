// graphile-worker: a queue.
import { makeWorkerUtils, run, runMigrations } from "graphile-worker";
import * as shared from "./shared.mjs";
import { order } from "./shared.mjs";

// Tuning, as its documentation on performance tells: a local queue, ends and failures written in
// batches, many jobs at once, prepared statements. A local queue delays single jobs, so the
// latencies are measured without it.
const CONNECTIONS = 16;
const CONCURRENCY = 64;
const LOCAL_QUEUE = 500;
const drains = order.workload === "W3";

const executed = new shared.Executed();
const moments = new shared.Moments();
const pgPool = await shared.warmPool(CONNECTIONS);
const preset = {
  worker: {
    concurrentJobs: CONCURRENCY,
    maxPoolSize: CONNECTIONS,
    pollInterval: 1000,
    preparedStatements: true,
    completeJobBatchDelay: drains ? 0 : -1,
    failJobBatchDelay: drains ? 0 : -1,
    localQueue: { size: drains ? LOCAL_QUEUE : -1 },
  },
};
const taskList = {
  nothing: async () => executed.oneMore(),
  begin: async (number) => moments.tell(number),
};
await runMigrations({ pgPool, preset });
const utils = await makeWorkerUtils({ pgPool, preset });
const startWorker = () => run({ pgPool, preset, taskList, noHandleSignals: true });
const jobs = () =>
  Array.from({ length: order.tasks }, (_, payload) => ({ identifier: "nothing", payload }));

await shared.note(
  `${CONCURRENCY} jobs at once, ${CONNECTIONS} connections, prepared statements; for W3 a local ` +
    `queue of ${LOCAL_QUEUE} and ends written in batches`,
);
await shared.run({
  W1: () => shared.fromClients((number) => utils.addJob("nothing", number)),
  W2: async () => {
    const all = jobs();
    await shared.ready();
    const begun = shared.now();
    const added = await utils.addJobs(all);
    await shared.rate(added.length, begun);
  },
  W3: async () => {
    await utils.addJobs(jobs());
    await shared.drain(executed, startWorker);
  },
  W6: async () => {
    await startWorker();
    await shared.samples(async (number) => {
      await utils.addJob("begin", number);
      return moments.since(shared.now(), number);
    });
  },
});
