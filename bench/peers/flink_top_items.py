#!/usr/bin/env python3
"""The job of the preset top-items as Flink SQL from a Kafka topic: flink_top_items.py GATEWAY REST BROKER TOPIC PARTITIONS DIRECTORY

Exactly once: checkpoints every second, and results as CSV files that a checkpoint commits, in DIRECTORY. Watermarks are taken event by event,
with as many source tasks as partitions. The topic is read from its beginning to the end that it has now. Prints {"version", "seconds"},
the seconds from the job's start to its end by Flink's own clock.
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


def main(gateway, rest, broker, topic, partitions, directory):
    session = Session(gateway, PROPERTIES | {"parallelism.default": partitions})
    session.sql(SOURCE.format(topic=topic, broker=broker))
    session.sql(SINK.format(directory=directory))
    result = session.sql(JOB)
    job = result.get("jobID") or result["results"]["data"][0]["fields"][0]
    while (state := call(f"{rest}/jobs/{job}"))["state"] not in ("FINISHED", "FAILED", "CANCELED"):
        time.sleep(0.1)
    if state["state"] != "FINISHED":
        sys.exit(f"the job ended as {state['state']}: " + json.dumps(call(f"{rest}/jobs/{job}/exceptions"))[:2000])
    print(json.dumps({"version": call(f"{rest}/overview")["flink-version"], "seconds": state["duration"] / 1000}))


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    main(*sys.argv[1:])
