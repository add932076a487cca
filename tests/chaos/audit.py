"""Whether a round lost or doubled anything: what was acknowledged, the topics, the rows in Postgres, and the program's own audit.

Everything is computed once more from the accepted topic, by code that shares nothing with the program: tests/support/expected.py.
"""
import csv
import io
import struct
import time
from collections import Counter, defaultdict

import expected
import records as of_topics
import value_formats
from deployment import PARTITIONS, PRESET
from expected import compare

INPUT = "camera_events"
REFUSED = "dead_letters.camera_events"
LETTERS = "dead_letters.item_counts"
PROGRESS = "item_counts.progress"
CLAIMS = "idempotency"
PIPELINES = ("item_counts", "top_items", "top_items_overall")
TOPICS = (INPUT, REFUSED, LETTERS, PROGRESS, CLAIMS, *(f"results.{pipeline}" for pipeline in PIPELINES))
WAIT_SECONDS_MAX = 120
LOOK_SECONDS = 0.2
NOTE_TICK = 2  # docs/formats/transactions.md
CLAIM_DONE = 3  # docs/formats/claims.md

# The columns of a row as expected.py has them.
COLUMNS = {"item_counts": "geographical_location_oid, geographical_location, item_name, item_count",
           "top_items": "geographical_location_oid, geographical_location, item_name, item_count, rank",
           "top_items_overall": "item_name, item_count, overflow::text, rank"}
# Where the columns stand that say which group of its window a result is for.
GROUPS = {"item_counts": (0,), "top_items": (0,), "top_items_overall": ()}


class Audit:
    """Of one deployment whose load has ended and been answered. `cluster` reads its topics."""

    def __init__(self, deployment, load, cluster):
        self.deployment, self.load, self.cluster = deployment, load, cluster
        self.read = {}   # topic -> {partition: records}
        self.wrong = []
        self.said = ""

    def topic(self, name):
        return self.deployment.prefix + name

    def _take(self, name):
        self.read[name], _ = self.cluster.read(self.topic(name))
        return self.read[name]

    # -- waiting

    def wait_for_pipelines(self):
        """Until all that was accepted is committed, by the pipelines on events and those on results."""
        self._wait_for_group("item_counts", INPUT)
        self._wait_for_group("top_items_overall", "results.item_counts")

    def _wait_for_group(self, pipeline, source):
        wanted = {number: records[-1].offset + 1 for number, records in self._take(source).items() if records}
        group = f"{self.deployment.prefix}commits.{pipeline}"

        def behind():
            at = self.cluster.committed(group, self.topic(source), list(wanted))
            return {number: f"{at[number]} of {end}" for number, end in wanted.items() if at[number] < end}

        self._until(f"{pipeline} to take in all of {source}", behind)

    def wait_for_rows(self):
        """Until Postgres has all results that the topics have now."""
        wanted = self._results_ends()
        self._until("Postgres to have all results", lambda: self._not_stored(wanted))

    def has_rows(self):
        """Whether Postgres has them all at once."""
        return not self._not_stored(self._results_ends())

    def _results_ends(self):
        """{(topic, partition): behind its last result}. A record that only says what is closed stores nothing."""
        ends = {}
        for pipeline in PIPELINES:
            for partition, records in self._take(f"results.{pipeline}").items():
                results = [record.offset for record in records if value_formats.result(record.value) is not None]
                if results:
                    ends[f"results.{pipeline}", partition] = results[-1] + 1
        return ends

    def _not_stored(self, ends):
        rows = self._sql("select o.topic, o.partition, o.next from sightline_store.offsets o join sightline_store.tables t on t.id = o.table_id"
                         " where t.active")
        at = {(topic.removeprefix(self.deployment.prefix), int(partition)): int(offset) for topic, partition, offset in rows}
        return {f"{topic}/{partition}": f"{at.get((topic, partition), 0)} of {end}" for (topic, partition), end in ends.items()
                if at.get((topic, partition), 0) < end}

    def _until(self, what, behind):
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        left, problem = {}, ""
        while True:
            try:
                left = behind()
                if not left:
                    return
                problem = ""
            except Exception as error:  # noqa: BLE001 - engines come back at their own pace
                problem = f"; {error}"
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {WAIT_SECONDS_MAX} s for {what}; left: {left}{problem}")
            time.sleep(LOOK_SECONDS)

    def _sql(self, text):
        return list(csv.reader(io.StringIO(self.deployment.postgres.sql(text, self.deployment.name), newline="")))

    # -- looking

    def ask_the_program(self):
        """`sightline audit` of a process that serves: it holds, and counts what was acknowledged."""
        report, problem = self.deployment.fronts[0].audit()
        self.wrong += [problem] if problem else []
        for one in report["pipelines"] if report else []:
            for what, said, sent in (("events", one["log_records"], self.load.accepted_total),
                                     ("refused lines", one["refused_at_ingest"], self.load.rejected_total)):
                if said != sent:
                    self.wrong.append(f"{sent} {what} were acknowledged, and sightline audit counts {said}")

    def check(self):
        """Everything, once nothing moves any more."""
        started = time.monotonic()
        for name in TOPICS:
            self._take(name)
        partitions = self._expected()
        self._once_each()
        self._letters(partitions)
        names = expected.names_of(PRESET / "references/locations.csv")
        wanted = {"item_counts": expected.item_counts(partitions, names), "top_items": expected.top_items(partitions, names),
                  "top_items_overall": expected.top_items_overall(partitions)}
        rows = {pipeline: self._rows(pipeline, wanted[pipeline]) for pipeline in PIPELINES}
        self._no_open_transactions()
        verdicts = sum((partition.verdicts for partition in partitions), Counter())
        self.said = (f"{verdicts.total():,} events ({', '.join(f'{count:,} {verdict}' for verdict, count in sorted(verdicts.items()))}), "
                     f"{self.load.rejected_total:,} refused, {sum(rows.values()):,} rows, {time.monotonic() - started:.1f} s")

    def check_accepted(self):
        """What can be said of a round that did not come to its end: whether what was acknowledged is there, once."""
        for name in TOPICS:
            self._take(name)
        self._once_each()

    def _expected(self):
        """What each partition comes to: its records in order, with the idle time that was noted between them."""
        partitions = []
        for number in range(PARTITIONS):
            partition = expected.Partition()
            ticks = [(at, moment) for kind, at, moment in map(_note, self.read[PROGRESS].get(number, [])) if kind == NOTE_TICK]
            for record in self.read[INPUT][number]:
                while ticks and ticks[0][0] <= record.offset:
                    partition.tick(ticks.pop(0)[1])
                partition.take(record.offset, record.value, record.time)
                partition.batch_done(record.time)
            for _, moment in ticks:
                partition.tick(moment)
            partitions.append(partition)
        return partitions

    def _once_each(self):
        """Each acknowledged event stands in the accepted topic once, each refused line among the dead letters once; no part of a request was
        taken twice under one Idempotency-Key."""
        accepted = Counter(hash(record.value) for records in self.read[INPUT].values() for record in records)
        self.wrong += [text.replace("missing", "lost") for text in compare("acknowledged events", self.load.accepted, accepted)]
        letters = Counter(value_formats.dead_letter(record.value).original for records in self.read[REFUSED].values() for record in records)
        self.wrong += compare("dead letters of refused lines", self.load.rejected, letters)
        done = Counter(record.key for records in self.read[CLAIMS].values() for record in records if record.value[:1] == bytes([CLAIM_DONE]))
        twice = [key.hex() for key, count in done.items() if count > 1]
        if twice:
            self.wrong.append(f"{len(twice)} parts of requests were taken more than once, such as {twice[0]}")

    def _letters(self, partitions):
        wanted = Counter({(reason, number, offset): count for number, partition in enumerate(partitions)
                          for (reason, offset), count in partition.letters.items()})
        got = Counter()
        for records in self.read[LETTERS].values():
            for record in records:
                letter = value_formats.dead_letter(record.value)
                got[letter.reason, letter.partition, letter.offset] += 1
        self.wrong += compare("dead letters of item_counts", wanted, got)

    def _rows(self, pipeline, wanted):
        """The topic's last state, the rows in Postgres and what was computed are the same; gives how many rows."""
        newest, revisions = {}, defaultdict(list)
        for records in self.read[f"results.{pipeline}"].values():
            for record in records:
                result = value_formats.result(record.value)
                if result is None:
                    continue
                key = (result.start, *(result.columns[at][0] for at in GROUPS[pipeline]))
                revisions[key].append(result.revision)
                if key not in newest or newest[key].revision < result.revision:
                    newest[key] = result
        doubled = {key: seen for key, seen in revisions.items() if len(set(seen)) != len(seen)}
        if doubled:
            self.wrong.append(f"results.{pipeline}: {len(doubled)} groups have a revision twice, such as {next(iter(doubled.items()))}")
        topic = Counter()
        for result in newest.values():
            topic.update((str(result.start), *("" if cell is None else str(cell) for cell in row)) for row in zip(*result.columns))
        self.wrong += compare(f"results.{pipeline} against what the events come to",
                              Counter(tuple(str(cell) for cell in row) for row in wanted), topic)
        stored = Counter(map(tuple, self._sql(f"select (extract(epoch from window_start) * 1000)::bigint, {COLUMNS[pipeline]}"
                                              f" from sightline.{pipeline}")))
        self.wrong += compare(f"rows of {pipeline} in Postgres against results.{pipeline}", topic, stored)
        return stored.total()

    def _no_open_transactions(self):
        """Nothing lies behind a transaction that nobody will end."""
        def open_ones():
            left = {}
            for name in self.read:
                seen, all_ = self.cluster.ends(self.topic(name)), self.cluster.everything(self.topic(name))
                left |= {f"{name}/{number}": f"readers see up to {seen[number]} of {end}" for number, end in all_.items() if seen[number] < end}
            return left
        try:
            self._until("all transactions to be over", open_ones)
        except TimeoutError as error:
            self.wrong.append(str(error))

    def keep(self, folder):
        """What was read, for whoever looks into it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, records in self.read.items():
            of_topics.write(folder / f"{name}.jsonl", records)


def _note(record):
    """(kind, input offset, moment) of a note in the progress topic; the moment of a tick alone is read."""
    kind, at = struct.unpack_from("<Bq", record.value)
    return kind, at, struct.unpack_from("<q", record.value, 9)[0] if kind == NOTE_TICK else None
