#!/usr/bin/env python3
"""The program with its results in Postgres and a reference that is followed there: the same rows as the embedded store's, through a server that
is killed, paused and started again. Ends with "N passed, N failed"."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/program"))
import harness  # noqa: E402

ENGINE = ROOT / "tools/engines/engines"
PATIENCE_S = 60
BASE_MS = int(time.time()) // 60 * 60_000 - 3 * 3_600_000  # of the first event
QUERY = ("select window_start, window_end, geographical_location_oid, geographical_location, rank, item_name, item_count, state, revision "
         "from top_items order by 1, 3 nulls first, 5")
VIEW = ("select (extract(epoch from window_start) * 1000)::bigint, (extract(epoch from window_end) * 1000)::bigint, geographical_location_oid, "
        "geographical_location, rank, item_name, item_count, state, revision from sightline.top_items order by 1, 3 nulls first, 5")


class Postgres:
    """A server of the test's own on a free port."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.environment = os.environ | {"POSTGRES_PORT": str(port), "POSTGRES_TLS": "off", "POSTGRES_OPTIONS": ""}
        self.call("start", stdout=subprocess.DEVNULL)
        self.url = self.call("url", stdout=subprocess.PIPE).stdout.strip()

    def call(self, *words, **more):
        return subprocess.run([str(ENGINE), "postgres", *words], env=self.environment, check=True, text=True, **more)

    def sql(self, text, *options):
        return self.call("psql", "-XAtqv", "ON_ERROR_STOP=1", *options, input=text, stdout=subprocess.PIPE).stdout.strip("\n")


@contextlib.contextmanager
def postgres():
    server = Postgres()
    try:
        yield server
    finally:
        server.call("kill")
        server.call("wipe")


@contextlib.contextmanager
def on_postgres(server, followed=False):
    """A sandbox whose preset keeps its results there."""
    os.environ["PG_URL"] = server.url
    with harness.sandbox() as box:
        box.edit("statistics: {type: duckdb}", "statistics: {type: postgres, url: {env: PG_URL}, statement_timeout: 1s, connect_timeout: 1s}")
        if followed:
            box.edit("from: references/locations.csv", "postgres: {url: {env: PG_URL}, table: locations, heartbeat: 200ms}")
        yield box


def health(server):
    """(status, JSON) of /readyz."""
    log = (server.box.path / "server.err").read_text()
    address = re.findall(r'"message":"ready".*"health":"http://([^"]+)"', log)[-1]
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def metric(server, name):
    text = server.request("GET", "/metrics")[1]
    return {match[1]: float(match[2]) for match in re.finditer(rf"^{name}\{{([^}}]*)\}} (\S+)$", text, re.MULTILINE)}


def events(first, count, seed):
    """Events of some hours ago at 40 locations, one each 120 ms from number `first` on; some are duplicates, many counts are ties."""
    rng = random.Random(seed)
    body = b""
    for i in range(count):
        location = rng.randrange(40)
        body += harness.line(first + i - (i % 50 == 7), geographical_location_oid=location, video_camera_oid=location * 10,
                             item_name=rng.choice(["person", "car", "bicycle", "Äpfel", "zebra"]), timestamp_detected=BASE_MS + (first + i) * 120)
    return body


def closing():
    return b"".join(harness.line(90_000_000 + location, geographical_location_oid=location, video_camera_oid=location * 10) for location in range(40))


def csv_rows(text):
    return [row for row in text.strip().split("\n") if row]


def settled(server):
    """All sinks have stored what there is."""
    def no_lag():
        status, answer = server.request("GET", "/v1/status")
        return status == 200 and all(sink["offset"] == sink["end"] and not sink.get("error") for sink in answer["sinks"])
    harness.until("the sinks have stored everything", no_lag)


def the_same_rows_as_the_embedded_store():
    body = events(1, 3000, 1) + closing()
    with harness.sandbox() as box, box.server() as server:
        assert server.post(body)[0] == 200
        server.audit()
        harness.until("windows are closed", lambda: len(csv_rows(box.ask("query", QUERY, "--format", "csv").out)) > 100)
        time.sleep(1)
        settled(server)
        expected = csv_rows(box.ask("query", QUERY, "--format", "csv").expect(0).out)
        rest = server.request("GET", "/v1/pipelines/top_items/results?limit=500")[1]
    with postgres() as database, on_postgres(database) as box:
        with box.server() as server:
            assert server.post(body)[0] == 200
            server.audit()
            harness.until("windows are closed", lambda: len(csv_rows(box.ask("query", QUERY, "--format", "csv").out)) == len(expected))
            settled(server)
            assert csv_rows(box.ask("query", QUERY, "--format", "csv").expect(0).out) == expected
            assert server.request("GET", "/v1/pipelines/top_items/results?limit=500")[1]["rows"] == rest["rows"]
        # The view, and the same SQL without a server.
        assert csv_rows(database.sql(VIEW, "--csv")) == expected[1:]
        assert csv_rows(box.ask("query", QUERY, "--format", "csv").expect(0).out) == expected


def a_database_that_dies_holds_up_its_sinks_alone():
    with postgres() as database, on_postgres(database) as box, box.server() as server:
        assert health(server) == (200, {"status": "ok"})
        sent = 0
        for round_, (end, begin) in enumerate([("kill", "start"), ("pause", "resume"), ("stop", "start"), ("kill", "start")]):
            assert server.post(events(1 + sent, 2000, round_))[0] == 200
            sent += 2000
            database.call(end)
            # Events are taken and counted all the same.
            assert server.post(events(1 + sent, 2000, 100 + round_))[0] == 200
            sent += 2000
            server.audit()
            harness.until("readiness says degraded", lambda: health(server)[1]["status"] == "degraded")
            assert health(server)[0] == 200
            assert "127.0.0.1" not in json.dumps(health(server)[1]), "the health listener asks for no token"
            harness.until("the lag shows", lambda: max(metric(server, "sightline_sink_lag_records").values()) > 0)
            assert max(metric(server, "sightline_sink_failed").values()) == 1
            status, answer = server.request("POST", "/v1/sql", json.dumps({"sql": "select 1 from top_items"}), {"Content-Type": "application/json"})
            assert status in (503, 504), (status, answer)
            database.call(begin, stdout=subprocess.DEVNULL)
            harness.until("readiness is good again", lambda: health(server) == (200, {"status": "ok"}))
            settled(server)
        # Every event that was counted is there, once; the closing ones may still be in an open window.
        assert server.post(closing())[0] == 200
        counted = server.audit()["counted"]
        total = lambda: int(database.sql("select coalesce(sum(item_count), 0) from sightline.item_counts"))
        harness.until(f"all of {counted} events are there", lambda: total() in (counted, counted - 40))
        doubles = database.sql("select count(*) from (select from sightline.item_counts group by window_start, geographical_location_oid, item_name"
                               " having count(*) > 1) d")
        assert doubles == "0", doubles
        assert counted >= sent * 0.95, (counted, sent)
        password = database.url.split(":")[2].split("@")[0]
        assert password not in (box.path / "server.err").read_text()


def a_server_starts_while_its_database_is_away():
    with postgres() as database, on_postgres(database) as box:
        database.call("stop")
        with box.server() as server:
            harness.until("readiness says degraded", lambda: health(server)[1]["status"] == "degraded")
            assert server.post(events(1, 1000, 5) + closing())[0] == 200
            server.audit()
            harness.until("the lag shows", lambda: max(metric(server, "sightline_sink_lag_records").values()) > 0)
            database.call("start", stdout=subprocess.DEVNULL)
            harness.until("results are there", lambda: database.sql("select count(*) from pg_views where schemaname = 'sightline'") != "0"
                  and database.sql("select count(*) from sightline.item_counts") != "0")
            settled(server)


def a_followed_reference():
    with postgres() as database, on_postgres(database, followed=True) as box:
        database.sql("create table locations (geographical_location_oid bigint primary key, geographical_location text not null, latitude float8,"
                     " longitude float8, planning_area text)")
        csv = ROOT / "presets/top-items/references/locations.csv"
        database.sql(f"\\copy locations from '{csv}' (format csv, header)")
        doctor = box.run("doctor", box.config, "--format", "json").json()
        found = {row["check"]: row for row in doctor}
        assert found["reference locations table"]["state"] == "ok", found
        assert found["statistics durability"]["state"] == "ok", found
        with box.server() as server:
            name = lambda oid: next(row for row in server.request("GET", "/v1/references/locations")[1]["rows"] if str(row["geographical_location_oid"]) == oid)
            assert name("0")["geographical_location"] == "Bedok · Post 01"
            start = time.monotonic()
            database.sql("update locations set geographical_location = 'Renamed' where geographical_location_oid = 0")
            harness.until("the change counts", lambda: name("0")["geographical_location"] == "Renamed", 2)
            assert time.monotonic() - start < 1.5, time.monotonic() - start
            assert server.post(events(1, 500, 3) + closing())[0] == 200
            harness.until("results carry the new name", lambda: database.sql(
                "select count(*) from sightline.item_counts where geographical_location = 'Renamed'") != "0")
            assert metric(server, "sightline_reference_following") == {'reference="locations"': 1}
            database.call("kill")
            harness.until("readiness says degraded", lambda: "references/locations" in health(server)[1].get("reasons", {}))
            database.call("start", stdout=subprocess.DEVNULL)
            database.sql("update locations set geographical_location = 'Again' where geographical_location_oid = 0")
            harness.until("it is followed again", lambda: name("0")["geographical_location"] == "Again")
            harness.until("readiness is good again", lambda: health(server) == (200, {"status": "ok"}))
        # Started again without the database: the kept version is in effect.
        database.call("stop")
        with box.server() as server:
            assert name("0")["geographical_location"] == "Again"


def what_bi_tools_ask():
    """Statements like those of psql, pgjdbc and SQLAlchemy, by somebody who only reads."""
    with postgres() as database, on_postgres(database) as box:
        database.sql("create role sightline_reader nologin; create role bi login password 'bi' in role sightline_reader")
        with box.server() as server:
            assert server.post(events(1, 500, 4) + closing())[0] == 200
            harness.until("results are there", lambda: database.sql("select count(*) from sightline.top_items") != "0")
        reader = "set session authorization bi; "
        assert database.sql(reader + "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'sightline' and"
                            " c.relkind in ('r', 'v') and has_table_privilege(c.oid, 'select') order by 1").split() == \
            ["item_counts", "top_items", "top_items_overall"]
        columns = database.sql(reader + "select a.attname, format_type(a.atttypid, a.atttypmod), d.description from pg_attribute a left join pg_description d"
                               " on d.objoid = a.attrelid and d.objsubid = a.attnum where a.attrelid = 'sightline.top_items'::regclass and a.attnum > 0"
                               " order by a.attnum").split("\n")
        assert columns[0].startswith("window_start|timestamp with time zone|Start"), columns
        assert all(column.split("|")[2] for column in columns), columns
        assert int(database.sql(reader + "select count(*) from (select date_trunc('hour', window_start), item_name, sum(item_count) from"
                                " sightline.item_counts group by 1, 2) q")) > 0
        for forbidden in ("select * from sightline_store.offsets", "delete from sightline.top_items", "create table sightline.mine (a int)"):
            try:
                database.sql(reader + forbidden)
            except subprocess.CalledProcessError:
                continue
            raise AssertionError(f"a reader may {forbidden}")


TESTS = [the_same_rows_as_the_embedded_store, a_database_that_dies_holds_up_its_sinks_alone, a_server_starts_while_its_database_is_away,
         a_followed_reference, what_bi_tools_ask]


def main():
    chosen = [test for test in TESTS if not sys.argv[1:] or test.__name__ in sys.argv[1:]]
    failed = 0
    for test in chosen:
        start = time.monotonic()
        try:
            test()
            print(f"ok      {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # noqa: BLE001
            failed += 1
            print(f"FAILED  {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
