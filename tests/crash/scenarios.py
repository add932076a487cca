"""The scenarios, each on a server of its own. A scenario reports one line for each thing that it looked at."""
import shutil
import time

import damage
import full_disk
import retention
import rounds
import verify
from events import Events
from senders import Load
from scratch import Server

RATE = 6000
RANDOM_ROUNDS_MIN = 3
REST_SECONDS = 80  # what the scenarios after the rounds take


class Frame:
    """What a scenario gets: where to report, and servers and loads that end with the test."""

    def __init__(self, suite, program, folder, seed, seconds, stack):
        self.suite, self.program, self.folder, self.seed, self.seconds, self._stack = suite, program, folder, seed, seconds, stack
        self._loads = []
        stack.callback(self.end_loads)

    def server(self, folder=None, **settings):
        server = Server(self.program, folder or self.folder, **settings)
        self._stack.callback(server.kill)
        return server

    def load(self, server, rate=RATE, future=True, **options):
        load = Load(server, Events(self.seed + len(self._loads), future), rate, **options)
        self._loads.append(load)
        return load

    def shared_load(self, server):
        """The first load of this scenario again."""
        return self._loads[0] if self._loads else self.load(server)

    def end_loads(self):
        for load in self._loads:
            load.stop()


def kills(frame):
    """Each failpoint, then random moments; at the end, everything against the log, and against an undisturbed run over the same log."""
    listed, wrong = rounds.names()
    frame.suite.report(f"{len(listed)} failpoints are listed and placed", wrong)
    server = frame.server()
    load = frame.load(server)
    turn = rounds.Rounds(server, load, frame.seed, frame.suite.report)
    turn.at_failpoint(rounds.FIRST_START)
    others = [name for name in listed if name not in (rounds.FIRST_START, rounds.RETENTION)]
    turn.chance.shuffle(others)
    for name in others:
        turn.at_failpoint(name)
    for name in others:
        if name.startswith(rounds.MENDED_BY_ITSELF) and turn.chance.random() < 0.3:
            turn.bears_error(name)
    done = 0
    while done < RANDOM_ROUNDS_MIN or frame.suite.seconds() < frame.seconds - REST_SECONDS:
        turn.at_random()
        done += 1
    wrong, said = verify.everything(server, load)
    frame.suite.report(f"after {load.posts} posts, {load.unanswered} of them cut off and {load.repeats} found to be there already: {said}", wrong)
    stop_under_load(frame, server, load)
    undisturbed(frame, server)


def stop_under_load(frame, server, load):
    """SIGTERM while events come in: exit status 0 within seconds, nothing lost; twice in a row."""
    for _ in range(2):
        load.resume()
        time.sleep(0.7)
        in_flight = load.wait_in_flight()
        status, seconds = server.terminate()
        wrong = [] if status == 0 else [f"exit status {status}; its log ends with: {server.log_tail()}"]
        if seconds > 10:
            wrong.append("it took more than 10 s")
        server.start()
        load.pause()
        server.drain()
        report, problem = server.audit()
        wrong += [problem] if problem else rounds.Rounds(server, load, 0, None).compare(report)
        frame.suite.report(f"SIGTERM with {in_flight} events in flight: exit status {status} after {seconds:.1f} s", wrong + load.wrong)
        load.wrong.clear()
    wrong, said = verify.everything(server, load)
    frame.suite.report(f"after SIGTERM: {said}", wrong)


def undisturbed(frame, server):
    """A second server that gets the same log and is never disturbed has the same rows."""
    picture = verify.Picture(server)
    status, _ = server.terminate()
    other = frame.server(frame.folder / "undisturbed", idle_after="0s")
    topics = other.data / "log/topics"
    topics.mkdir(parents=True)
    shutil.copytree(server.data / "log/topics" / verify.INPUT, topics / verify.INPUT)
    other.start()
    again = verify.Picture(other)
    wrong = [] if status == 0 else [f"the first server ended with {status}"]
    compared = []
    for pipeline, (header, rows) in picture.rows.items():
        if again.rows[pipeline] != (header, rows):
            wrong.append(f"the rows of {pipeline} differ: {len(rows)} and {len(again.rows[pipeline][1])}")
        compared.append(f"{len(rows)} rows of {pipeline}")
    other.kill()
    frame.suite.report(f"an undisturbed run over the same log has the same {', '.join(compared)}", wrong)


ALL = [("kills", kills), ("retention", retention.scenario), ("full-disk", full_disk.scenario), ("damage", damage.scenario)]
