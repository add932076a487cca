"""The plan of a run, and one round of it: load, a fault, and the audit."""
import collections
import dataclasses
import random
import shutil
import time
import traceback

import faults
from audit import INPUT, Audit
from deployment import PARTITIONS, Deployment
from events import Events
from senders import Load
from topics import Cluster, Watch

WARM_SECONDS = (3, 5)
AFTER_SECONDS = (3, 5)
RATES = (500, 1500)       # events a second
ANSWER_SECONDS_MAX = 120
STILL_TRIES_MAX = 4
CLOSING_MS = 180_000      # how far ahead of all others the last events are
ADDRESS_TIMEOUT = 30      # of one request


def plan(count, seed, chosen=()):
    """(number, seed, engine, fault) of each round: the chosen pairs in turn, else all. Those of engines that every round has come first, in an
    order of the seed's."""
    chance = random.Random(seed)
    pairs = []
    while len(pairs) < count:
        if chosen:
            pairs += chosen
            continue
        for some in (faults.PAIRS, faults.OTHER_STORES):
            pairs += spread(some, chance)
    return [(i + 1, seed + i, engine, fault) for i, (engine, fault) in enumerate(pairs[:count])]


def spread(pairs, chance):
    """All pairs in an order of chance's in which those of one engine, and equal faults, lie far apart: a few rounds see much."""
    left, order = list(pairs), []
    engines, kinds = collections.Counter(), collections.Counter()
    while left:
        chance.shuffle(left)
        left.sort(key=lambda pair: (engines[pair[0]] / sum(of == pair[0] for of, _ in pairs), kinds[pair[1]]), reverse=True)
        engine, fault = left.pop()
        engines[engine] += 1
        kinds[fault] += 1
        order.append((engine, fault))
    return order


@dataclasses.dataclass
class Outcome:
    """What one round came to."""

    number: int
    seed: int
    engine: str
    fault: str
    events: int = 0
    seconds_of_load: float = 0
    refusals: int = 0       # answers that asked to try again
    cut_off: int = 0        # posts without an answer
    fault_seconds: float = 0
    lag: int = None         # records at the end of the fault
    restored: float = None  # seconds until every partition moved on
    caught_up: float = None
    said: str = ""
    wrong: list = dataclasses.field(default_factory=list)
    skipped: str = ""

    @property
    def verdict(self):
        return "skipped" if self.skipped else "FAILED" if self.wrong else "ok"

    @property
    def pair(self):
        return f"{self.engine}:{self.fault}"

    def rate(self):
        return self.events / self.seconds_of_load if self.seconds_of_load else 0

    def line(self):
        head = f"{self.verdict:7} round {self.number:2}  seed {self.seed}  {self.pair:18}"
        if self.skipped:
            return f"{head} {self.skipped}"
        return (f"{head} {self.fault_seconds:5.1f} s  load {self.events:,} events, {self.rate():,.0f}/s, {self.refusals} refusals, "
                f"{self.cut_off} cut off  lag {count_text(self.lag)}  restored {seconds_text(self.restored)}  caught up {seconds_text(self.caught_up)}  "
                f"audit {'holds' if not self.wrong else 'does not hold'}: {self.said or 'it did not come to that'}")


def count_text(value):
    return "?" if value is None else f"{value:,}"


def seconds_text(value):
    return "?" if value is None else f"{value:.1f} s"


class Round:
    def __init__(self, program, engines, folder, planned):
        self.number, self.seed, self.engine, self.fault = planned
        self.program, self.engines = program, engines
        self.folder = folder / f"round-{self.number:02}-{self.engine}-{self.fault}"
        self.chance = random.Random(self.seed)
        self.outcome = Outcome(*planned)
        self.deployment = self.load = self.audit = self.watch = None

    def run(self):
        """The outcome. What went wrong is in it, and the folder is kept then."""
        try:
            self._run()
        except faults.Impossible as impossible:
            self.outcome.skipped = str(impossible)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this round's
            self.outcome.wrong.append(f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")
            self._salvage()
        except BaseException:
            # The run is being ended, and the engines go with it: there is nothing to keep or to clear.
            if self.deployment:
                self.deployment.kill()
            raise
        self._end()
        return self.outcome

    def _run(self):
        chance = self.chance
        store = self.engine if self.engine in faults.STORES else "s3"
        settings = {"idle_after": chance.choice(["0s", "2s"]), "delivery": chance.choice([5, 10, 20]),
                    "snapshot_records": chance.choice([2_000, 20_000, 200_000])}
        self.deployment = Deployment(self.program, self.engines, self.folder, f"chaos-{self.number}", store,
                                     2 if self.engine == "ingest" else 1, settings)
        faults.check_possible(self.deployment, self.engine, self.fault)
        self.deployment.start()
        self.load = Load(self.deployment.fronts, Events(self.seed), chance.uniform(*RATES), timeout=ADDRESS_TIMEOUT)
        self.watch = Watch(self.deployment.kafka.address, f"{self.deployment.prefix}commits.item_counts", f"{self.deployment.prefix}{INPUT}",
                           list(range(PARTITIONS)))
        self._under_load()
        self._count()

    def _under_load(self):
        chance, outcome = self.chance, self.outcome
        started = time.monotonic()
        self.load.resume()
        time.sleep(chance.uniform(*WARM_SECONDS))
        self._check_that_it_works()
        began = time.monotonic()
        with faults.of(self.deployment, self.engine, self.fault, chance):
            time.sleep(faults.seconds_of(self.engine, self.fault, chance))
        ended = time.monotonic()
        outcome.fault_seconds = ended - began
        ends = self.watch.ends()
        at = self.watch.positions()
        outcome.lag = sum(max(0, end - at[partition]) for partition, end in ends.items())
        time.sleep(chance.uniform(*AFTER_SECONDS))
        self.load.pause(ANSWER_SECONDS_MAX)
        outcome.seconds_of_load = time.monotonic() - started
        outcome.events = self.load.accepted_total + self.load.rejected_total
        self.load.send(self.load.events.closing(CLOSING_MS), ANSWER_SECONDS_MAX)
        self.audit = Audit(self.deployment, self.load, Cluster(self.deployment.kafka.address))
        self.audit.wait_for_pipelines()
        # Of a worker's fault: from its begin, since somebody else has to go on meanwhile.
        since = began if self.engine == "worker" else ended
        outcome.restored = self.watch.until_moved(since)
        outcome.caught_up = self.watch.until_reached(ends, ended)

    def _check_that_it_works(self):
        """A set-up that does not even work undisturbed proves nothing."""
        deadline = time.monotonic() + 30
        while min(self.watch.positions().values()) == 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"before any fault: not every partition was committed within 30 s: {self.watch.positions()}")
            time.sleep(0.1)

    def _count(self):
        """Answers, counts, topics and rows, once all is still."""
        self.audit.ask_the_program()
        for _ in range(STILL_TRIES_MAX):
            self.audit.wait_for_rows()
            for worker in self.deployment.workers:
                worker.end_orderly()
            if self.audit.has_rows():
                break
            # Idle time closed a window just then.
            for worker in self.deployment.workers:
                worker.start()
        for front in self.deployment.fronts:
            front.end_orderly()
        self.audit.check()

    def _salvage(self):
        """Something did not end: what was acknowledged should be there all the same, if it is known."""
        if self.load is None or self.load.under_way():
            return
        try:
            self.audit = self.audit or Audit(self.deployment, self.load, Cluster(self.deployment.kafka.address))
            self.audit.check_accepted()
        except Exception as error:  # noqa: BLE001
            self.outcome.wrong.append(f"what was accepted could not be read: {error}")

    def _end(self):
        outcome = self.outcome
        if self.watch:
            self.watch.end()
        if self.load:
            self.load.stop()
            outcome.refusals, outcome.cut_off = sum(self.load.refusals.values()), self.load.unanswered
            outcome.wrong += self.load.wrong
        if self.audit:
            outcome.wrong += self.audit.wrong
            outcome.said = self.audit.said
        if self.deployment:
            outcome.wrong += self.deployment.look()
            self.deployment.kill()
        try:
            self._clear()
        except Exception as error:  # noqa: BLE001
            outcome.wrong.append(f"clearing up: {error}")

    def _clear(self):
        if self.outcome.wrong:
            self._keep()
            self.engines.renew()
            return
        if self.deployment:
            self.deployment.forget()
            cluster = Cluster(self.deployment.kafka.address)
            cluster.remove(cluster.topics(self.deployment.prefix))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self):
        """What whoever looks into it needs: logs of the engines, what the topics held, what was refused and why."""
        for log in self.engines.logs():
            target = self.folder / "engines" / log.parent.parent.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target)
        if self.audit:
            self.audit.keep(self.folder / "topics")
        text = [self.outcome.line(), *self.outcome.wrong]
        if self.load:
            text += [f"{count} times {status}: {message}" for (status, message), count in self.load.refusals.items()]
        (self.folder / "outcome.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
