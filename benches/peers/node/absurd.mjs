// The published TypeScript client of Absurd, on upstream's schema or on ours.
import { Absurd } from "absurd-sdk";
import * as shared from "./shared.mjs";
import { order } from "./shared.mjs";

// Tuning: more at once than the pool has connections, so that none of them is ever idle, and the
// shortest pause that leaves the processor free.
const CONNECTIONS = 16;
const CONCURRENCY = 64;
const POLL_SECONDS = 0.005;

const executed = new shared.Executed();
const moments = new shared.Moments();
const app = new Absurd({ db: await shared.warmPool(CONNECTIONS), queueName: "default" });

app.registerTask({ name: "nothing" }, async () => executed.oneMore());
app.registerTask({ name: "steps" }, async (count, ctx) => {
  for (let number = 0; number < count; number += 1) {
    await ctx.step(`step ${number}`, async () => shared.PAYLOAD);
  }
  executed.oneMore();
});
app.registerTask({ name: "row" }, async (count, ctx) => {
  for (let number = 0; number < count; number += 1) {
    await ctx.step(`step ${number}`, async () => shared.PAYLOAD);
    moments.tell(number);
  }
});
app.registerTask({ name: "begin" }, async (number) => moments.tell(number));
app.registerTask({ name: "resume" }, async (number, ctx) => {
  await ctx.awaitEvent(`event ${number}`);
  moments.tell(number);
});

const startWorker = () =>
  app.startWorker({ concurrency: CONCURRENCY, pollInterval: POLL_SECONDS });
const drain = () => shared.drain(executed, startWorker);

await shared.note(
  `concurrency ${CONCURRENCY}, ${CONNECTIONS} connections, poll every ${POLL_SECONDS * 1e3} ms`,
);
await shared.run({
  W1: () => shared.fromClients((number) => app.spawn("nothing", number)),
  W3: drain,
  W4: drain,
  W5: async () => {
    await startWorker();
    await shared.ready();
    await app.spawn("row", order.steps);
    await shared.latencies(await moments.gaps(order.steps));
  },
  W6: async () => {
    await startWorker();
    await shared.samples(async (number) => {
      const spawned = await app.spawn("begin", number);
      const latency = await moments.since(shared.now(), number);
      await app.awaitTaskResult(spawned.taskID);
      return latency;
    });
  },
  W7: async () => {
    const count = order.pauses_ms.length;
    for (let number = 0; number < count; number += 1) {
      await app.spawn("resume", number);
    }
    await startWorker();
    await shared.waitForCount("select count(*) from absurd.w_default", count);
    await shared.samples(async (number) => {
      await app.emitEvent(`event ${number}`, number);
      return moments.since(shared.now(), number);
    });
  },
});
