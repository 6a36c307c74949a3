// A worker of the published TypeScript client: url, then it works until it is killed.
import { Absurd } from "absurd-sdk";

const app = new Absurd({ db: process.argv[2], queueName: "default" });

app.registerTask({ name: "tour" }, async (params, ctx) => {
  const first = await ctx.step("count", async () => params.start + 1);
  const again = await ctx.step("count", async () => first + 1);
  await ctx.sleepFor("nap", 0.01);
  const bonus = await ctx.awaitEvent(`bonus:${params.key}`, { timeout: 60 });
  await ctx.step("last", async () => null);
  return { sum: first + again + bonus.value, by: "typescript", headers: ctx.headers };
});

app.registerTask({ name: "fragile" }, async (params, ctx) => {
  const done = await ctx.step("done before", async () => "kept");
  if (params.fail) {
    throw new Error("as it was asked for");
  }
  return done;
});

app.registerTask({ name: "patient" }, async (params, ctx) => ctx.awaitEvent("never"));

await app.startWorker({ workerId: "typescript", claimTimeout: 30, pollInterval: 0.05 });
