"""Rounds of one server under load: it is killed somewhere, starts again, and its accounts must hold."""
import random
import re
import time

from scratch import REPOSITORY, ServerDied

REACH_SECONDS_MAX = 25
FIRST_START = "bus.topic.before_create"
# What a recovery does only if results were put out that no commit names; a kill in the middle of a commit leaves such.
IN_RECOVERY = ("bus.state.before_write", "bus.truncate.before_cut")
LEAVES_UNCOMMITTED = "flow.commit.outputs_durable"
RETENTION = "bus.retention.before_remove"
# How often a point is passed within about a second of the load; the rest are passed that often at least.
HITS = {"bus.segment.created": 6, "bus.flush.before_sidecar": 3, "bus.group.before_sync": 12, "bus.group.after_sync": 12,
        "flow.snapshot.ids_written": 5, "flow.snapshot.durable": 5, "statistics.apply.before_commit": 3,
        "statistics.apply.after_commit": 3, "statistics.sink.before_hold": 1, FIRST_START: 7, RETENTION: 2}
HITS_OTHER = 80
# The server goes on by itself after these fail once; a file of the log that failed to write takes no more until a restart.
MENDED_BY_ITSELF = ("flow.", "statistics.", "bus.flush.before_sidecar")


def names():
    """The failpoints that the program knows, and what is wrong between that list and the places in the source."""
    source = REPOSITORY / "src/sightline"
    listed = re.findall(r'string_view\("([a-z_.]+)"\)', (source / "runtime/failpoints.cc").read_text())
    # A server never passes those of `sightline migrate`: tests/migrate does.
    listed = [name for name in listed if not name.startswith("migrate.")]
    placed = set()
    for path in source.rglob("*.cc"):
        if not path.name.endswith(("_test.cc", "_bench.cc")):
            placed.update(re.findall(r'Hit\("([a-z_.]+)"\)', path.read_text()))
    wrong = [f"{name} is passed in the source and not listed in failpoints.cc" for name in sorted(placed - set(listed))]
    wrong += [f"{name} is listed in failpoints.cc and passed nowhere" for name in listed if name not in placed]
    return listed, wrong


class Rounds:
    def __init__(self, server, load, seed, report):
        self.server, self.load, self.report = server, load, report
        self.chance = random.Random(seed)

    def hit(self, name):
        return self.chance.randint(1, HITS.get(name, HITS_OTHER))

    # -- rounds

    def at_failpoint(self, name):
        """Dies at `name` under load."""
        self.server.kill()
        if name in IN_RECOVERY:
            wrong, in_flight, how = self._in_recovery(name)
        else:
            how = f"{name}=kill@{self.hit(name)}"
            wrong, in_flight = self.die_at(how)
        self.recover(how, in_flight, wrong)

    def at_random(self):
        """Dies at any moment under load; sometimes after a failure that it had to bear."""
        how, wrong = "random", []
        if self.chance.random() < 0.5:
            listed = [name for name in names()[0] if name not in (FIRST_START, RETENTION, *IN_RECOVERY)]
            name = self.chance.choice(listed)
            how = f"random after {name}=error@{self.hit(name)}"
            self.server.kill()
            wrong = self._start(how.split()[-1])
        self.load.resume()
        time.sleep(self.chance.uniform(0.2, 1.5))
        if self.server.process.poll() is not None:
            wrong.append(f"the server ended by itself; its log ends with: {self.server.log_tail()}")
        in_flight = self.load.wait_in_flight()
        self.server.kill()
        self.recover(how, in_flight, wrong)

    def bears_error(self, name):
        """Goes on by itself after one failure at `name`."""
        self.server.kill()
        how = f"{name}=error@{self.hit(name)}"
        wrong = self._start(how)
        self.load.resume()
        time.sleep(1.2)
        in_flight = self.load.in_flight()
        self._settle(how, in_flight, wrong)

    # -- parts of them

    def _start(self, armed=""):
        try:
            self.server.start(armed)
        except ServerDied as died:
            return [f"{died} in place of starting; its log ends with: {self.server.log_tail()}"]
        return []

    def die_at(self, armed):
        """(what is wrong, events in flight)"""
        self.server.start(armed, wait=False)
        self.load.resume()
        try:
            self.server.wait_until_ready()
            status = self.server.wait_for_end(REACH_SECONDS_MAX)
        except ServerDied as died:
            status = died.status
        in_flight = self.load.in_flight()
        if status is None:
            return [f"{armed} was not reached within {REACH_SECONDS_MAX} s"], in_flight
        if status != -9:
            return [f"the server ended with {status}, and {armed} should have killed it; its log ends with: {self.server.log_tail()}"], in_flight
        return [], in_flight

    def _in_recovery(self, name):
        """Dies within a commit until a recovery has something to cut off, and then in that recovery."""
        wrong = []
        for _ in range(6):
            self.server.kill()
            wrong, in_flight = self.die_at(f"{LEAVES_UNCOMMITTED}=kill@{self.hit(LEAVES_UNCOMMITTED)}")
            if wrong:
                break
            try:
                self.server.start(f"{name}=kill@1")
            except ServerDied as died:
                return ([] if died.status == -9 else [str(died)]), in_flight, f"{name}=kill@1 in the recovery"
            wrong = [f"{name} was not reached in six recoveries"]
        return wrong, self.load.in_flight(), name

    def recover(self, how, in_flight, wrong):
        """Starts it again, sometimes with another kill while it recovers."""
        self.server.kill()
        while self.chance.random() < 0.3:
            self.server.start(wait=False)
            self.server.wait_for_end(self.chance.uniform(0.01, 0.4))
            self.server.kill()
            how += ", and again while it recovered"
        wrong += self._start()
        self._settle(how, in_flight, wrong)

    def _settle(self, how, in_flight, wrong):
        """Everything that was begun is answered and counted; then the accounts."""
        said = ""
        try:
            self.server.check_alive()
            self.load.pause()
            self.server.drain()
            report, problem = self.server.audit()
            wrong += [problem] if problem else []
            if report is not None:
                said = f"{sum(one['log_records'] for one in report['pipelines'])} events in the log"
                wrong += self.compare(report)
        except (RuntimeError, OSError, ServerDied) as error:
            wrong.append(str(error))
        wrong += self.load.wrong
        self.load.wrong.clear()
        self.report(f"{how}: {in_flight} events in flight, audit {'holds' if not wrong else 'does not hold'}, {said}", wrong)

    def compare(self, report):
        """What was acknowledged and what the audit counted, event by event."""
        wrong = []
        for one in report["pipelines"]:
            for what, said, sent in (("events", one["log_records"], self.load.accepted_total),
                                     ("refused lines", one["refused_at_ingest"], self.load.rejected_total)):
                if said != sent:
                    wrong.append(f"{sent} {what} were acknowledged, and the log has {said}")
        return wrong
