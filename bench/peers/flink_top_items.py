#!/usr/bin/env python3
"""The job of the preset top-items as Flink SQL from a Kafka topic: flink_top_items.py GATEWAY REST BROKER TOPIC PARTITIONS DIRECTORY [PLAN]

Exactly once: checkpoints every second, and results as CSV files that a checkpoint commits, in DIRECTORY. Watermarks are taken event by event,
with as many source tasks as partitions. The topic is read from its beginning to the end that it has now. Prints {"version", "seconds"},
the seconds from the job's start to its end by Flink's own clock.

With PLAN, the text that `sightline plan --engine flink` printed, its statements take the place of the query that is written here, with its own settings on
the same state backend, reading to the same end and with the same files as its sink. PLAN may be "late": the query that is written here, with the rule for late records in it.
"""
import json
import sys
import time
import urllib.request

PROPERTIES = {
    "execution.runtime-mode": "streaming",
    "state.backend.type": "hashmap",
    "execution.checkpointing.interval": "1s",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "200 ms",
    "table.exec.mini-batch.size": "20000",
    "table.exec.state.ttl": "1 h",
    "table.local-time-zone": "UTC",
    "pipeline.object-reuse": "true",
}
SOURCE = """
create table events (geographical_location_oid bigint, video_camera_oid bigint, detection_oid bigint, item_name string, timestamp_detected bigint,
  event_time as to_timestamp_ltz(timestamp_detected, 3), arrival as proctime(),
  watermark for event_time as event_time - interval '30.001' second)
with ('connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{broker}', 'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset', 'scan.watermark.emit.strategy' = 'on-event', 'format' = 'json', 'json.ignore-parse-errors' = 'true')
"""
SINK = """
create table top_items (window_start timestamp(3), geographical_location_oid bigint, item_name string, item_count bigint, item_rank bigint)
with ('connector' = 'filesystem', 'path' = 'file://{directory}', 'format' = 'csv')
"""
JOB = """
insert into top_items
with once as (
  select geographical_location_oid, item_name, event_time from (
    select *, row_number() over (partition by detection_oid order by arrival asc) as copy from events
    where detection_oid is not null and item_name is not null and timestamp_detected is not null)
  where copy = 1),
counts as (
  select window_start, window_end, geographical_location_oid, item_name, count(*) as item_count
  from table(tumble(table once, descriptor(event_time), interval '1' minute))
  group by window_start, window_end, geographical_location_oid, item_name)
select window_start, geographical_location_oid, item_name, item_count, item_rank from (
  select *, row_number() over (partition by window_start, window_end, geographical_location_oid order by item_count desc, item_name asc) as item_rank
  from counts)
where item_rank <= 10
"""


# The rule for late records: by the partition's watermark, before the deduplication, acted upon behind it.
LATE = JOB.replace("""    select *, row_number()""", """    select *, row_number()""").replace("from events\n", """from (select *,
      coalesce(current_watermark(event_time) >= to_timestamp_ltz(timestamp_detected - mod(timestamp_detected, 60000) + 59999, 3), false) as is_late
      from events)
""").replace("where copy = 1)", "where copy = 1 and not is_late)")
FROM_PLAN = """
insert into top_items select window_start, geographical_location_oid, item_name, item_count, `rank` from planned_top_items
"""


def planned(path):
    """The settings and views of a plan and its source, which reads to the end that the topic has now; the plan's own sinks are left out."""
    text = "\n".join(line for line in open(path, encoding="utf-8").read().splitlines() if not line.startswith("--"))
    statements = [statement.strip() for statement in text.split(";\n")]
    kept = [s for s in statements if s.startswith(("SET ", "CREATE TEMPORARY VIEW", "CREATE TEMPORARY TABLE camera_events"))]
    kept = [s.replace("'scan.startup.mode'", "'scan.bounded.mode' = 'latest-offset',\n  'scan.startup.mode'") for s in kept]
    return [s.replace("CREATE TEMPORARY VIEW top_items AS", "CREATE TEMPORARY VIEW planned_top_items AS") for s in kept]


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


class Session:
    def __init__(self, gateway, properties):
        self.base = f"{gateway}/v1/sessions/" + call(f"{gateway}/v1/sessions", {"properties": properties})["sessionHandle"]

    def sql(self, statement):
        operation = f"{self.base}/operations/" + call(f"{self.base}/statements", {"statement": statement})["operationHandle"]
        while (status := call(f"{operation}/status")["status"]) not in ("FINISHED", "ERROR", "CANCELED"):
            time.sleep(0.1)
        if status != "FINISHED":
            sys.exit(f"Flink refused a statement: {status}; see the gateway's log")
        return call(f"{operation}/result/0")


def main(gateway, rest, broker, topic, partitions, directory, plan=""):
    session = Session(gateway, PROPERTIES | {"parallelism.default": partitions})
    if plan not in ("", "late"):
        for statement in planned(plan):
            session.sql(statement)
    else:
        session.sql(SOURCE.format(topic=topic, broker=broker))
    session.sql(SINK.format(directory=directory))
    result = session.sql({"": JOB, "late": LATE}.get(plan, FROM_PLAN))
    job = result.get("jobID") or result["results"]["data"][0]["fields"][0]
    while (state := call(f"{rest}/jobs/{job}"))["state"] not in ("FINISHED", "FAILED", "CANCELED"):
        time.sleep(0.1)
    if state["state"] != "FINISHED":
        sys.exit(f"the job ended as {state['state']}: " + json.dumps(call(f"{rest}/jobs/{job}/exceptions"))[:2000])
    print(json.dumps({"version": call(f"{rest}/overview")["flink-version"], "seconds": state["duration"] / 1000}))


if __name__ == "__main__":
    if len(sys.argv) not in (7, 8):
        sys.exit(__doc__)
    main(*sys.argv[1:])
