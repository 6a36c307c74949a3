"""A producer of the published Python client: spawns tasks that our worker executes, steers
them, and prints what it saw as one JSON object."""

import json
import sys

from absurd_sdk import Absurd

app = Absurd(sys.argv[1], queue_name="default")
tour = app.spawn("tour", {"start": 1, "key": "k"}, queue="default", headers={"from": "client"},
                 idempotency_key="once")
again = app.spawn("tour", {"start": 9, "key": "k"}, queue="default", idempotency_key="once")
app.emit_event("bonus:k", {"value": 10})
done = app.await_task_result(tour["task_id"], timeout=60)

fragile = app.spawn("fragile", {"fail": True}, queue="default", max_attempts=1)
failed = app.await_task_result(fragile["task_id"], timeout=60)
retried = app.retry_task(fragile["task_id"], max_attempts=2)

patient = app.spawn("patient", {}, queue="default")
app.cancel_task(patient["task_id"])
cancelled = app.await_task_result(patient["task_id"], timeout=60)

print(json.dumps({
    "same": str(tour["task_id"]) == str(again["task_id"]),
    "result": done.result,
    "failure": failed.failure["message"],
    "retried_attempt": retried["attempt"],
    "cancelled": cancelled.state,
    "queues": app.list_queues(),
}))
