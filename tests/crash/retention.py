"""A log that retention cuts: killed between its decision and the removal of files, and the results still those of all events."""
import time

import expected
import log_files
import rounds
import verify
from scratch import PRESET

TURNS = ("bus.retention.before_remove=kill@1", "bus.state.before_write=kill@2", "bus.retention.before_remove=kill@2")


def scenario(frame):
    """One partition and one sender: the order of the log is that of the posts, so that it is known when the log is gone."""
    server = frame.server(partitions=1, idle_after="0s", retain_bytes="3MiB", snapshot_records=2000)
    load = frame.load(server, future=False, threads=1, lines=(100, 300))
    load.keep_order()
    turn = rounds.Rounds(server, load, frame.seed, lambda what, wrong: frame.suite.report(f"retention: {what}", wrong))
    turn.compare = lambda report: []  # the audit counts what is left
    for armed in TURNS:
        server.kill()
        wrong, in_flight = turn.die_at(armed)
        turn.recover(armed, in_flight, wrong)
    load.resume()
    time.sleep(2)
    load.pause()
    picture = verify.Picture(server)
    first = log_files.segments(log_files.partition_folder(server.data, verify.INPUT, 0))[0][0]
    partition = expected.Partition()
    for offset, line in enumerate(load.order):
        partition.take(offset, line, None)
    wrong = verify.results(picture, [partition], expected.names_of(PRESET / "references/locations.csv"))
    wrong += verify.accounting(picture, [partition], load)
    if first == 0:
        wrong.append("retention removed nothing")
    status, out, _ = server.command("audit", "--format", "json")
    wrong += [] if status == 0 else [f"sightline audit: {out}"]
    frame.suite.report(f"retention: {first} of {len(load.order)} events are gone from the log, the results are those of all", wrong)
