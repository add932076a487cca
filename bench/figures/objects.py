"""Objects of 100 KB in S3: ours against a bare HTTP client, and against boto3, all on one server on this machine."""
import os
import subprocess

import server
from harness import HERE, REPOSITORY, Missing, Section, in_turns, say, speed_ratio

OBJECTS, SIZE, IN_FLIGHT = 2000, 100_000, 16
KEYS = {"AWS_ACCESS_KEY_ID": "sightline", "AWS_SECRET_ACCESS_KEY": "sightline-secret"}
BUCKET = "bench"


class Gateway:
    """versitygw on a free port, with its objects in the benchmark's folder; stopped and wiped at the end."""

    def __init__(self, bench):
        self.script = REPOSITORY / "tools/engines/engines"
        port = server.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {"S3_PORT": str(port), "S3_DATA": str(bench.folder / "s3"), "S3_ACCESS": KEYS["AWS_ACCESS_KEY_ID"],
                            "S3_SECRET": KEYS["AWS_SECRET_ACCESS_KEY"]}

    def call(self, *words):
        done = subprocess.run([str(self.script), "s3", *words], check=False, capture_output=True, text=True, env=os.environ | self.environment)
        if done.returncode != 0:
            raise Missing(f"tools/engines/engines s3 {' '.join(words)}: {done.stderr.strip()[-500:]}")

    def __enter__(self):
        self.call("start")
        self.call("bucket", BUCKET)
        return self

    def __exit__(self, *_):
        for word in ("stop", "wipe"):
            try:
                self.call(word)
            except Missing as problem:
                say(str(problem))


def measure_against(peer_command):
    def measure(bench, figure):
        ours, peer = bench.peer("objects_s3"), peer_command(bench)
        objects = bench.sized(OBJECTS, 100)
        with Gateway(bench) as gateway:
            work = [f"endpoint={gateway.endpoint}", f"bucket={BUCKET}", f"objects={objects}", f"size={SIZE}", f"in_flight={IN_FLIGHT}"]

            def run(command):
                return bench.run([*command, *work], bench.cores(2), environment=KEYS).json()

            samples = in_turns(bench.runs, lambda: run([ours]), lambda: run(peer))
        figure.samples, figure.peer_samples = ([s["put_s"] + s["get_s"] for s in taken] for taken in samples)
        middle = [sorted(taken, key=lambda s: s["put_s"] + s["get_s"])[len(taken) // 2] for taken in samples]
        figure.equality = f"each of the {objects:,} objects came back byte for byte, or the program fails"
        figure.note = "; ".join(f"{name}: put {objects / s['put_s']:,.0f}, get {objects / s['get_s']:,.0f} objects a second"
                                for name, s in zip(("ours", "peer"), middle))

    return measure


FIGURE = {
    "unit": "times as fast",
    "higher_is_better": True,
    "ours": "`bench/stages/objects_s3.cc`: 16 threads through the S3 connector, every body signed with its SHA-256; versitygw on the same two cores",
    "of": speed_ratio,
}
S3 = Section(measure_against(lambda bench: [bench.peer("bare_http_s3")]), FIGURE | {
    "name": "s3",
    "what": "S3 put and get of 100 KB objects, 16 in flight, against a bare HTTP client",
    "at_least": 0.8,
    "aim": 0.95,
    "peer": "`bench/peers/bare_http_s3.cc`: 16 blocking sockets, requests that were signed before the clock ran",
})
S3_BOTO3 = Section(measure_against(lambda bench: [bench.python(), HERE / "peers/boto3_s3.py"]), FIGURE | {
    "name": "s3_boto3",
    "what": "the same against boto3",
    "at_least": 3,
    "aim": 6,
    "peer": "boto3, one client, 16 threads",
})
