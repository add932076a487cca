"""What goes wrong in a round: one fault of one engine, or of the program's own processes, for a while."""
import contextlib
import threading

import network
from engines import SlowProcesses

SESSION_SECONDS = 10      # until a worker that is not heard of loses its partitions
SLOW_MS = 80              # where packets can be delayed; else processes stand still most of the time
DISK_LOOK_SECONDS = 0.1

STORES = ("s3", "hdfs", "gcs")
ENGINE_FAULTS = ("stop", "kill", "pause", "slow", "cut-in", "cut-out", "cut-both", "disk-full")
WORKER_FAULTS = ("kill", "zombie", "slow", "cut-in", "cut-out", "cut-both", "upgrade", "join", "leave")
INGEST_FAULTS = ("kill", "pause", "cut-both", "upgrade")

MEANING = {
    "stop": "ended in an orderly way, started again at the end",
    "kill": "SIGKILL, started again at the end",
    "pause": "SIGSTOP, SIGCONT at the end",
    "slow": f"packets from and to it are {SLOW_MS} ms late, or it stands still four fifths of the time",
    "cut-in": "no packet reaches it",
    "cut-out": "no packet comes from it",
    "cut-both": "no packet passes",
    "disk-full": "no room on its disk; if it ends of that, it is started again at the end",
    "zombie": "SIGSTOP until its session is over and longer, then SIGCONT",
    "upgrade": "SIGTERM and started again, one process after the other",
    "join": "a third worker comes, and stays",
    "leave": "SIGTERM, and it stays away",
}

# Those of the set-up that every round has, then those of other object stores.
PAIRS = [(engine, fault) for engine in ("kafka", "s3", "postgres") for fault in ENGINE_FAULTS]
PAIRS += [("worker", fault) for fault in WORKER_FAULTS] + [("ingest", fault) for fault in INGEST_FAULTS]
# What keeps everything in memory is not stopped: that would be another engine afterwards.
OTHER_STORES = [("hdfs", fault) for fault in ENGINE_FAULTS]
OTHER_STORES += [("gcs", fault) for fault in ENGINE_FAULTS if fault not in ("stop", "kill", "disk-full")]
ALL = PAIRS + OTHER_STORES


class Impossible(Exception):
    """The fault cannot be made on this machine; the text says why."""


@contextlib.contextmanager
def nothing():
    yield


def seconds_of(engine, fault, chance):
    """How long it lasts, apart from what it takes to begin and to end it."""
    if (engine, fault) in (("worker", "zombie"), ("worker", "cut-in"), ("worker", "cut-out"), ("worker", "cut-both")):
        return SESSION_SECONDS + chance.uniform(2, 5)
    if fault in ("join", "leave", "upgrade"):
        return chance.uniform(3, 6)
    return chance.uniform(3, 12)


def check_possible(setup, engine, fault):
    if fault in network.CUTS and setup.network.cannot_cut:
        raise Impossible(f"nothing can be cut off here: {setup.network.cannot_cut}")
    if fault == "disk-full" and setup.engine(engine).cannot_fill:
        raise Impossible(setup.engine(engine).cannot_fill)


def of(setup, engine, fault, chance):
    """A context: the fault begins when it is entered and is over when it is left. What it took to end it counts to the fault."""
    check_possible(setup, engine, fault)
    if engine == "worker":
        return worker_fault(setup, fault, chance)
    if engine == "ingest":
        return ingest_fault(setup, fault, chance)
    return engine_fault(setup, setup.engine(engine), fault)


@contextlib.contextmanager
def cut(setup, node, fault):
    setup.network.cut(node, fault)
    try:
        yield
    finally:
        setup.network.mend(node)


@contextlib.contextmanager
def slow(setup, node, pids):
    if setup.network.can_delay:
        with setup.network.delayed(node, SLOW_MS):
            yield
        return
    processes = SlowProcesses(pids)
    try:
        yield
    finally:
        processes.end()


@contextlib.contextmanager
def paused(process):
    process.pause()
    try:
        yield
    finally:
        process.resume()


@contextlib.contextmanager
def started_again(engine, end):
    end()
    yield
    engine.start()


@contextlib.contextmanager
def disk_full(engine):
    """Full at once; what the engine frees meanwhile is taken away, too."""
    engine.fill()
    over = threading.Event()

    def keep_full():
        while not over.wait(DISK_LOOK_SECONDS):
            engine.fill()

    filler = threading.Thread(target=keep_full, daemon=True)
    filler.start()
    try:
        yield
    finally:
        over.set()
        filler.join()
    engine.free()
    if not engine.running():
        engine.start()


def engine_fault(setup, engine, fault):
    if fault in network.CUTS:
        return cut(setup, engine.node, fault)
    return {"stop": lambda: started_again(engine, engine.stop), "kill": lambda: started_again(engine, engine.kill),
            "pause": lambda: paused(engine), "slow": lambda: slow(setup, engine.node, engine.pids),
            "disk-full": lambda: disk_full(engine)}[fault]()


@contextlib.contextmanager
def killed(process):
    process.kill()
    yield
    process.start()


@contextlib.contextmanager
def upgraded(processes):
    for process in processes:
        process.end_orderly()
        process.start()
    yield


@contextlib.contextmanager
def joined(setup):
    setup.add_worker().start()
    yield


@contextlib.contextmanager
def left(worker):
    worker.end_orderly()
    yield


def worker_fault(setup, fault, chance):
    worker = chance.choice(setup.workers)
    if fault in network.CUTS:
        return cut(setup, worker.place, fault)
    return {"kill": lambda: killed(worker), "zombie": lambda: paused(worker), "slow": lambda: slow(setup, worker.place, worker.pids),
            "upgrade": lambda: upgraded(list(setup.workers)), "join": lambda: joined(setup), "leave": lambda: left(worker)}[fault]()


def ingest_fault(setup, fault, chance):
    front = chance.choice(setup.fronts)
    if fault in network.CUTS:
        return cut(setup, front.place, fault)
    return {"kill": lambda: killed(front), "pause": lambda: paused(front), "upgrade": lambda: upgraded(list(setup.fronts))}[fault]()
