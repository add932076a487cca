"""Reading from Kafka with decoding and dedupe, against librdkafka merely consuming."""
import os
import subprocess

from harness import REPOSITORY, Different, Missing, Section, digest, in_turns, say

PORT = "29492"
ENGINE = REPOSITORY / "tools/engines/kafka/kafka.sh"


def engine(what):
    done = subprocess.run([str(ENGINE), what], env=os.environ | {"KAFKA_PORT": PORT, "KAFKA_HEAP": "1g"}, check=False, capture_output=True, text=True)
    if done.returncode != 0 and what == "start":
        raise Missing(f"Kafka cannot be started: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def measure(bench, figure):
    program, events = bench.peer("kafka_read"), bench.file_of_events()
    topic = f"events-{digest(events.name)}"
    engine("start")
    try:
        def run(mode):
            return bench.run([program, f"127.0.0.1:{PORT}", topic, mode, events], bench.cores(2)).json()

        loaded = run("load")
        # The first of each also fills the broker's page cache.
        peer, ours = run("consume"), run("read")
        for what, got in (("librdkafka", peer), ("ours", ours)):
            if (got["records"], got["bytes"]) != (loaded["records"], loaded["bytes"]):
                raise Different(f"{what} read {got['records']} records of {got['bytes']} bytes, {loaded['records']} of {loaded['bytes']} were sent")
        if ours["ids"] != loaded["ids"]:
            raise Different(f"ours found {ours['ids']} ids in the partitions, a set of them has {loaded['ids']}")
        samples, peers = in_turns(bench.runs, lambda: run("read")["seconds"], lambda: run("consume")["seconds"])
    finally:
        engine("stop")
        engine("wipe")
    figure.samples, figure.peer_samples = samples, peers
    rate = loaded["records"] / sorted(samples)[len(samples) // 2]
    say(f"{rate:,.0f} records a second")
    figure.equality = f"both read {loaded['records']:,} records and {loaded['bytes']:,} bytes; the dedupe found the {loaded['ids']:,} different ids of the partitions that a set finds"
    figure.note = f"{rate:,.0f} records a second, with the broker on the same cores"


KAFKA_READ = Section(measure, {
    "name": "kafka_read",
    "what": "consume from Kafka, decode JSON and deduplicate, against librdkafka merely consuming",
    "unit": "times its speed",
    "at_least": 0.4,
    "aim": 0.8,
    "higher_is_better": True,
    "ours": "`bench/stages/kafka_read.cc read`: the bus's readers of four partitions, the gate's decoder and the dedupe table, one thread",
    "peer": "`kafka_read consume`: librdkafka with its defaults, four partitions through one queue, one thread",
    "of": lambda ours, peer: peer / ours,
})
