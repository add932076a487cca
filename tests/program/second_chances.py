"""Late events that are offered again, and pipelines that are changed over data that is there."""
import signal
import time

from harness import PATIENCE_S, line, sandbox


def now_ms():
    return int(time.time() * 1000)


def eventually(box, sql, wanted):
    """The rows of an SQL question, as CSV lines, once they are as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        rows = box.ask("query", sql, "--format", "csv").expect(0).out.strip().split("\n")[1:]
        if rows == wanted:
            return
        assert time.monotonic() < deadline, (sql, rows, wanted)
        time.sleep(0.1)


def counters_only_rise(server, before):
    """What was late and is counted now is late once, offered again once, and counted once."""
    late = '{pipeline="item_counts",verdict="late"}'
    deadline = time.monotonic() + PATIENCE_S
    while True:
        after = server.metrics()
        if after["sightline_records_replayed_total" + late] == 2:
            break
        assert time.monotonic() < deadline, after
        time.sleep(0.05)
    assert before["sightline_records_total" + late] == after["sightline_records_total" + late] == 2, (before, after)
    fallen = {name: (value, after[name]) for name, value in before.items() if "_total{" in name and after[name] < value}
    assert not fallen, fallen
    def total(family):
        return sum(value for name, value in after.items() if name.startswith(family + '{pipeline="item_counts"'))
    judged = total("sightline_records_total") - total("sightline_records_replayed_total")
    assert judged == total("sightline_records_in_total") == 105, after


def offered_again():
    """Late events become corrections, once, in the counts, the ranking and over all locations, and through a kill -9."""
    with sandbox() as box:
        long_ago = now_ms() - 7_200_000
        with box.server() as server:
            server.post(line(1, timestamp_detected=long_ago) + line(2, timestamp_detected=now_ms() - 3_600_000))
            # One for each partition, so that all of them are past the windows.
            server.post(b"".join(line(1000 + i, geographical_location_oid=i, timestamp_detected=now_ms()) for i in range(100)))
            eventually(box, "select sum(item_count) from item_counts", ["2"])
            server.post(line(3, timestamp_detected=long_ago) + line(4, item_name="car", timestamp_detected=long_ago)
                        + line(3, timestamp_detected=long_ago))
            assert server.audit()["late"] == 2
            before = server.metrics()
            letters = box.ask("dead-letter", "ls", "item_counts", "--reason", "late", "--format", "json").expect(0).json()
            assert len(letters) == 2, letters
            box.ask("dead-letter", "replay", "item_counts", "--reason", "late").expect(0, out="2 offered again, 0 were before, 0 refused")
            at = f"where window_start = {long_ago // 60_000 * 60_000}"
            eventually(box, f"select item_name, item_count, state from item_counts {at} order by 1", ["car,1,corrected", "person,2,corrected"])
            eventually(box, f"select item_name, item_count, rank from top_items {at} order by rank", ["person,2,1", "car,1,2"])
            eventually(box, f"select item_name, item_count, rank from top_items_overall {at} order by rank", ["person,2,1", "car,1,2"])
            audit = server.audit()
            assert (audit["late"], audit["counted"], audit["duplicates"], audit["replayed"], audit["holds"]) == (0, 104, 1, 2, True), audit
            counters_only_rise(server, before)
            server.end(signal.SIGKILL)
        with box.server() as server:
            box.ask("dead-letter", "replay", "item_counts", "--format", "csv").expect(0, out=r"\Areplayed,already,refused\n0,2,0\n\Z")
            box.ask("dead-letter", "replay", "item_counts").expect(0, out="0 offered again, 2 were before, 0 refused")
            server.post(b"broken\n")
            box.ask("dead-letter", "replay", "top_items").expect(1, out="1 refused\n  dead_letters.camera_events/0/0: it is still malformed")
            box.ask("dead-letter", "replay", "top_items_overall").expect(1, err="replay the dead letters of item_counts")
            audit = server.audit()
            assert audit["holds"] and audit["in"] == 106 and audit["malformed"] == 1, audit
        offline = box.ask("audit", "--format", "json").expect(0).json()["pipelines"][0]
        assert offline["replayed"] == 2 and offline["late"] == 0, offline
        box.ask("dead-letter", "replay", "item_counts").expect(1, err="no server")


def changed_pipeline():
    """Refused until it is said where it begins; then its results take the place of the old ones."""
    with sandbox() as box:
        old = now_ms() - 7_200_000
        minute = old // 120_000 * 120_000
        with box.server() as server:
            server.post(line(1, timestamp_detected=minute) + line(2, timestamp_detected=minute + 60_000)
                        + b"".join(line(1000 + i, geographical_location_oid=i) for i in range(100)))
            eventually(box, "select item_count, window_end - window_start from item_counts", ["1,60000", "1,60000"])
        box.edit("tumbling: 1m", "tumbling: 2m")
        box.run("up", box.config, "--data", box.data).expect(1, err="item_counts.*was changed.*--from now, --from earliest or --from raw:TIME")
        box.run("up", box.config, "--data", box.data, "--from", "yesterday").expect(1, err="--from takes now, earliest or raw:TIME")
        with box.server("--from", "earliest") as server:
            eventually(box, "select item_count, window_end - window_start from item_counts", ["2,120000"])
            assert server.audit()["in"] == 102
        with box.server() as server:
            eventually(box, "select item_count from item_counts", ["2"])
            assert server.audit()["holds"]


def cases():
    yield "late events that are offered again become corrections", offered_again
    yield "a changed pipeline begins where it is told to", changed_pipeline
