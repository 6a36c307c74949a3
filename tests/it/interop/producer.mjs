// A producer of the published TypeScript client: spawns tasks that our worker executes, steers
// them, and prints what it saw as one JSON object.
import { Absurd } from "absurd-sdk";

const app = new Absurd({ db: process.argv[2], queueName: "default" });
const queue = "default";
const tour = await app.spawn("tour", { start: 1, key: "k" }, {
  queue, headers: { from: "client" }, idempotencyKey: "once",
});
const again = await app.spawn("tour", { start: 9, key: "k" }, { queue, idempotencyKey: "once" });
await app.emitEvent("bonus:k", { value: 10 });
const done = await app.awaitTaskResult(tour.taskID, { timeout: 60 });

const fragile = await app.spawn("fragile", { fail: true }, { queue, maxAttempts: 1 });
const failed = await app.awaitTaskResult(fragile.taskID, { timeout: 60 });
const retried = await app.retryTask(fragile.taskID, { maxAttempts: 2 });

const patient = await app.spawn("patient", {}, { queue });
await app.cancelTask(patient.taskID);
const cancelled = await app.awaitTaskResult(patient.taskID, { timeout: 60 });

console.log(JSON.stringify({
  same: tour.taskID === again.taskID,
  result: done.result,
  failure: failed.failure.message,
  retried_attempt: retried.attempt,
  cancelled: cancelled.state,
  queues: await app.listQueues(),
}));
await app.close();
