"""The whole way on outside engines: events from Kafka, results in Postgres, against Flink on the same broker."""
import os
import shutil

import server
from harness import HERE, Section, speed_ratio

from .bounded import without_names
from .from_log import KAFKA, PARTITIONS, PIPELINES, Flink, FromLog, first_run, take_turns, with_closing_events
from .postgres import Server as Postgres

CONFIG = (HERE / "configs/from_kafka.yaml").read_text()
PREFIX = "ours."
TOPIC = PREFIX + "camera_events"


class FromKafka(FromLog):
    """Our side: a topic with the events, and nothing else of ours in the cluster, the store or on the disk when a run begins."""

    def __init__(self, bench, events, expected_rows, flink, postgres):
        self.bench, self.cores, self.expected_rows = bench, bench.cores(2), expected_rows
        self.rows, self.flink, self.postgres = [], flink, postgres
        self.work = bench.folder / "kafka-work"
        self.flink.python("load_kafka.py", KAFKA, with_closing_events(bench, events), TOPIC, PARTITIONS)
        os.environ["PG_URL"] = postgres.url()

    def run(self):
        self.flink.python("reset_kafka.py", KAFKA, PREFIX, TOPIC)
        self.postgres.sql("drop schema if exists sightline cascade; drop schema if exists sightline_store cascade; checkpoint")
        shutil.rmtree(self.work, ignore_errors=True)
        os.sync()
        running = server.Server(self.bench, CONFIG, self.work, self.cores, pipelines=PIPELINES, broker=KAFKA, prefix=PREFIX)
        return self.measured(running)


def against_flink(bench, figure):
    events = bench.file_of_events(late=0)
    rows, counts = bench.expected(events)
    plain = without_names(bench, rows)
    flink = Flink(bench, events)
    try:
        with Postgres() as postgres:
            ours = FromKafka(bench, events, counts["results"], flink, postgres)
            first_run(bench, "sightline up on Kafka", ours, plain)
            take_turns(bench, figure, ours, flink, plain)
    finally:
        flink.close()
    figure.note = f"Flink {flink.version}; Kafka and Postgres on the same cores"


KAFKA_FLINK = Section(against_flink, {
    "name": "kafka_flink",
    "what": "top items from Kafka, exactly once, results in Postgres, 2 cores, against Flink SQL on the same broker",
    "unit": "times as fast",
    "at_least": 8,
    "aim": 20,
    "higher_is_better": True,
    "ours": "`sightline up` on Kafka (2 partitions by location, transactions) and Postgres; from the start of the process until the last row is in Postgres",
    "peer": "warm cluster, 2 partitions by location, parallelism 2, exactly once, checkpoints every second, hash-map state, on-event watermarks; its "
    "results as CSV files, since its JDBC connector is not to be had from the registries; the job's own duration",
    "of": speed_ratio,
})
