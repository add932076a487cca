"""From the post of an event until a WebSocket client has it, with the load generator on the server's own cores."""
import shutil

import server
from harness import Section, say

RATE = 50_000
CLIENTS = (5_000, 10_000)
SLOW_RATIO_MAX = 1.5


def fresh(bench, name):
    """A server with the shipped preset in a new data directory."""
    data = bench.folder / name
    shutil.rmtree(data, ignore_errors=True)
    return server.Server(bench, server.shipped_preset("interval"), data, bench.cores(2))


def latency(bench, figure):
    seconds = bench.sized(10, 2)
    with fresh(bench, "live") as running:
        say("a short run first, so that nothing is new any more")
        running.load("live", rate=RATE, seconds=1, batch=50)
        runs = [running.load("live", rate=RATE, seconds=seconds, batch=50) for _ in range(bench.runs)]
    figure.samples = [run["p99_ms"] for run in runs]
    p50 = sorted(run["p50_ms"] for run in runs)
    figure.equality = f"the client saw each of the {runs[0]['events']:,} events of a run in the counts"
    figure.note = (f"p50 {p50[len(p50) // 2]:.2f} ms, longest {max(run['max_ms'] for run in runs):.1f} ms; counted from when a post was due, though it may "
                   f"have left up to {max(run['post_late_ms_max'] for run in runs):.1f} ms later")


def one_ratio(running, clients, seconds):
    """p99 of those that read, without and with slow ones among the clients."""
    options = {"rate": 1000, "batch": 10, "seconds": seconds, "clients": clients, "one_location": 1}
    return [running.load("live", **options, slow_in_ten=slow) for slow in (0, 1)]


def clients(bench, figure):
    seconds = bench.sized(8, 2)
    counts = bench.sized(CLIENTS, (200, 400))
    told = []
    with fresh(bench, "clients") as running:
        running.load("live", rate=10_000, seconds=1, batch=50)  # every location has something to show
        for _ in range(bench.runs):
            reached = 0
            for count in counts:
                without, slow = one_ratio(running, count, seconds)
                ratio = slow["p99_ms"] / without["p99_ms"]
                told.append(f"{count:,}: {slow['p99_ms']:.1f} against {without['p99_ms']:.1f} ms, {ratio:.2f} ×")
                say(told[-1])
                reached = count if ratio < SLOW_RATIO_MAX else reached
            figure.samples.append(reached)
    figure.equality = "every client that reads saw every event of its location"
    figure.note = "p99 with slow clients against without: " + "; ".join(told)


LATENCY = Section(latency, {
    "name": "latency",
    "what": "event posted until visible on a WebSocket (a client at full rate), 50,000 events a second, `interval` durability: p99",
    "unit": "ms",
    "at_least": 25,
    "aim": 5,
    "higher_is_better": False,
    "ours": "shipped preset with `durability: interval`; `bench/load` on the same 2 cores posts 50 events a millisecond over 4 connections and watches all "
    "locations of `top_items`",
    "sample_unit": "ms",
})
CLIENTS_SECTION = Section(clients, {
    "name": "clients",
    "what": "WebSocket clients on one pipeline, one in ten never reading, with which the others' p99 is below 1.5 × that without slow ones",
    "unit": "clients",
    "at_least": 5_000,
    "aim": 10_000,
    "higher_is_better": True,
    "ours": "shipped preset; each client watches one location at full rate, a slow one asks for all and reads nothing; 1,000 events a second",
    "sample_unit": "clients",
})
