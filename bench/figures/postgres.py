"""Results into Postgres, against what a person would write with psql."""
import os
import shutil
import statistics
import subprocess

from harness import REPOSITORY, Different, Missing, Section, in_turns, say

ENGINE = REPOSITORY / "tools/engines/engines"
PORT = "15477"
ROWS_AT_ONCE = 10_000  # in a transaction, ours as psql's
# The same columns, types and indexes as the store's own tables.
COLUMNS = "window_start, window_end, revision, ordinal, state, c0, c1, c2, c3, c4"
TABLE = """
drop schema if exists peer cascade;
create schema peer;
create table peer.rows (like bench_store.rows_1 including all);
create unlogged table peer.staging (like bench_store.rows_1);
create table peer.offsets (partition integer primary key, next bigint not null);
insert into peer.offsets values (0, 0);
"""
# The server would read the whole table for each delete; so it goes by the index, which is faster.
BATCH = """begin;
truncate peer.staging;
\\copy peer.staging ({columns}) from '{file}' (format csv)
set local enable_hashjoin = off;
set local enable_mergejoin = off;
delete from peer.rows r using (select distinct window_start, c0 from peer.staging) s where r.window_start = s.window_start and r.c0 = s.c0;
insert into peer.rows select * from peer.staging;
update peer.offsets set next = {next} where partition = 0;
commit;
"""
# One number for all rows of a table.
CONTENT = "select count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', {columns}), 0)::numeric), 0) from {table}"


class Server:
    """A server of the benchmark's own, with the settings of an untuned one; ended and wiped in any case."""

    def __init__(self):
        self.environment = os.environ | {"POSTGRES_PORT": PORT, "POSTGRES_TLS": "off", "POSTGRES_OPTIONS": "-c max_wal_size=4GB"}

    def run(self, *words, **more):
        return subprocess.run([str(ENGINE), "postgres", *words], env=self.environment, check=True, text=True, **more)

    def __enter__(self):
        try:
            self.run("start", stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Missing(f"Postgres does not start: {error}") from None
        return self

    def __exit__(self, *_):
        self.run("stop")
        self.run("wipe")

    def sql(self, text):
        return self.run("psql", "-XAtqv", "ON_ERROR_STOP=1", input="set client_min_messages = warning;\n" + text,
                        stdout=subprocess.PIPE).stdout.strip()

    def url(self):
        return self.run("url", stdout=subprocess.PIPE).stdout.strip()


def measure(bench, figure):
    program = bench.peer("postgres_rows")
    rows = bench.sized(1_000_000, 50_000)
    folder = bench.folder / f"postgres-{rows}"
    if not (folder / ".ok").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        subprocess.run([str(program), "csv", str(folder), str(rows)], check=True)
        (folder / ".ok").touch()
    batches = [folder / f"batch-{number}.csv" for number in range(-(-rows // ROWS_AT_ONCE))]
    script = folder / "peer.sql"
    script.write_text("\\set ON_ERROR_STOP on\n" + "".join(
        BATCH.format(columns=COLUMNS, file=path, next=(number + 1) * ROWS_AT_ONCE) for number, path in enumerate(batches)), encoding="utf-8")

    with Server() as server:
        environment = {"PG_URL": server.url()}

        def ours(*more):
            server.sql("drop schema if exists bench cascade; drop schema if exists bench_store cascade; checkpoint")
            return bench.run([program, "apply", rows, *more], bench.cores(2), environment=environment).json()["seconds"]

        def peer():
            server.sql(TABLE + "checkpoint")
            client = {"PGPASSWORD": environment["PG_URL"].split(":")[2].split("@")[0]}
            return bench.run(["psql", "-Xq", "-h", "127.0.0.1", "-p", PORT, "-U", "lab", "-d", "lab", "-f", script], bench.cores(2), environment=client).seconds

        ours()
        peer()
        contents = [server.sql(CONTENT.format(columns=COLUMNS, table=table)) for table in ("bench_store.rows_1", "peer.rows")]
        if contents[0] != contents[1]:
            raise Different(f"the store has {contents[0]} (rows, hash), psql's table {contents[1]}")
        figure.equality = f"{contents[0].split()[0]} rows, by a hash over every column"
        figure.samples, figure.peer_samples = in_turns(bench.runs, ours, peer)
        corrected = [ours("corrected") for _ in range(bench.runs)]
        version = server.sql("show server_version")
    rate = rows / statistics.median(figure.samples)
    figure.note = (f"Postgres {version}, fsync on; ours {rate:,.0f} rows a second. When every group is a correction, which replaces the stored one: "
                   f"{rows / statistics.median(corrected):,.0f} rows a second")
    say(figure.note)


POSTGRES = Section(measure, {
    "name": "postgres",
    "what": "result rows into Postgres, against psql's `COPY` to a staging table with `DELETE` and `INSERT … SELECT`",
    "unit": "times as fast",
    "at_least": 0.8,
    "aim": 1,
    "higher_is_better": True,
    "ours": "`bench/stages/postgres_rows.cc`: encoded results decoded and applied in transactions of 10,000 rows with their offset; time of that",
    "peer": "one `psql -f`: per transaction `TRUNCATE` and `\\copy` of an unlogged staging table, `DELETE` by the index, `INSERT … SELECT`, offset; same "
            "table, indexes and rows, time of the process",
    "of": lambda ours, peer: peer / ours,
})
