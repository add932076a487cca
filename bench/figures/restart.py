"""How long a server needs after a crash until it is ready, with many ids to remember."""
import shutil
import subprocess
import time

import server
from harness import Different, Section, end_group, say

IDS = 20_000_000
SPAN_MS = 600_000  # of the ids' event times: all within the dedupe horizon, and few windows, so that it is the ids that weigh
LOAD_SECONDS = 2.0
LOAD_EVENTS = 2_000_000  # more than can be sent in that time
AGAIN = 100_000  # ids that are sent a second time to see whether they are remembered
FILL_SECONDS_MAX = 900


class Crashing:
    """A server with the ids in its state, which is killed under load again and again."""

    def __init__(self, bench, ids):
        self.bench, self.ids = bench, ids
        data = bench.folder / "restart"
        shutil.rmtree(data, ignore_errors=True)
        self.running = server.Server(bench, server.shipped_preset("fsync"), data, bench.cores(2))
        self.more = bench.sized(LOAD_EVENTS, 50_000)
        # What is sent before each crash goes on in event time where the one before ended, and never gets ahead of the clock.
        after_ms = (bench.runs + 1) * self.more * SPAN_MS // ids
        self.sequence = {"base_ms": int(time.time() * 1000) - SPAN_MS - after_ms, "span_ms": SPAN_MS, "total": ids}
        self.next = ids

    def fill(self):
        say(f"filling in {self.ids:,} ids")
        self.running.start()
        self.running.wait_until_ready()
        self.running.load("fill", **self.sequence, seconds_max=FILL_SECONDS_MAX)
        self.running.wait_until_caught_up()

    def crash(self):
        """SIGKILL while events come in."""
        command = self.running.load_command("fill", **self.sequence, first=self.next, count=self.more, batch=2000)
        load = self.bench.start(command, self.running.cores, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(self.bench.sized(LOAD_SECONDS, 0.3))
            self.running.kill()
        finally:
            end_group(load)
        self.next += self.more

    def restart(self):
        """Seconds from the start of the process until it says that it is ready, and until the input since the last snapshot is counted again."""
        started = self.running.start()
        self.running.wait_until_ready()
        ready = time.monotonic() - started
        self.running.wait_until_caught_up()
        return ready, time.monotonic() - started

    def check(self):
        """Ids of the filling, sent again, are known one and all."""
        before = self.running.pipeline("item_counts")
        count = min(AGAIN, self.ids)
        self.running.load("fill", **self.sequence, first=self.ids - count, count=count)
        self.running.wait_until_caught_up()
        time.sleep(0.5)  # what the status shows is up to a quarter of a second old
        after = self.running.pipeline("item_counts")
        known = after["verdicts"]["duplicates"] - before["verdicts"]["duplicates"]
        if known != count:
            raise Different(f"of {count:,} ids that were sent again, {known:,} were known after the restart")
        return count


def measure(bench, figure):
    crashing = Crashing(bench, bench.sized(IDS, 200_000))
    later = []
    try:
        crashing.fill()
        for _ in range(bench.runs):
            crashing.crash()
            ready, caught_up = crashing.restart()
            figure.samples.append(ready)
            later.append(caught_up)
            again = crashing.check()
        state = crashing.running.pipeline("item_counts")["state_bytes"]
        figure.equality = f"after each restart {again:,} ids from before it were sent again: all were duplicates"
        figure.note = (f"{crashing.ids:,} ids and what came with each crash, {state / 1e6:.0f} MB of state; all input since the last snapshot was "
                       f"counted again and stored after {sorted(later)[len(later) // 2]:.1f} s")
        crashing.running.stop()
    finally:
        crashing.running.kill()
        shutil.rmtree(crashing.running.data, ignore_errors=True)


RESTART = Section(measure, {
    "name": "restart",
    "what": "restart after `kill -9` under load with 20 million ids of state, until ready",
    "unit": "s",
    "at_least": 5,
    "aim": 1,
    "higher_is_better": False,
    "ours": "shipped preset, 8 partitions, `fsync`; from the start of the process until `/readyz` says so",
})
