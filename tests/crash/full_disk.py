"""A full disk under load: refused with a clear message, nothing acknowledged lost, and it goes on when there is room again."""
import contextlib
import os
import subprocess
import time

import rounds
import verify
from scratch import ServerDied

DISK_BYTES = 160 << 20
ROOM_BYTES = 20 << 20       # what is left beside the ballast at first
ROOM_LATER_BYTES = 5 << 20  # when every topic has its files
FULL_SECONDS_MAX = 40
REMEDY = ("make room on that disk", "datasets.NAME.retain", "send it again", "nothing that was accepted is lost")


@contextlib.contextmanager
def small_disk(folder):
    """A file system of DISK_BYTES at `folder`; None where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        yield mounted.stderr.strip() or "mount failed"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder, leave):
    """A ballast file that leaves so many bytes free; removing it is the disk getting room again."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - leave
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return ballast


def scenario(frame):
    with small_disk(frame.folder) as problem:
        if problem:
            frame.suite.skip("full-disk", f"no small disk can be mounted here ({problem})")
            return
        server = frame.server()
        try:
            run(frame, server, kill=False)
            run(frame, server, kill=True)
        finally:
            frame.end_loads()
            server.kill()


def run(frame, server, kill):
    how = "full disk, killed and started again while full" if kill else "full disk"
    if not server.running():
        server.start()
    load = frame.shared_load(server)
    ballast = fill(frame.folder, ROOM_LATER_BYTES if kill else ROOM_BYTES)
    load.refusals.clear()
    load.resume()
    wrong = []
    deadline = time.monotonic() + FULL_SECONDS_MAX
    while not load.refusals and time.monotonic() < deadline:
        time.sleep(0.05)
    if not load.refusals:
        wrong.append(f"the disk was not full within {FULL_SECONDS_MAX} s")
    time.sleep(1.5)  # senders keep trying, pipelines keep failing
    if not server.running():
        wrong.append(f"the server ended; its log ends with: {server.log_tail()}")
    messages = sorted({f"{status} {message}" for status, message in load.refusals})
    for status, message in load.refusals:
        if status != 429 or "space" not in message and "full" not in message:
            wrong.append(f"refused with {status} {message}: wanted is a 429 that says that the disk is full")
        elif not all(part in message for part in REMEDY):
            wrong.append(f"refused with {message}: wanted is what to do about it")
    if kill:
        server.kill()
        try:
            server.start()
            how += ", which it bears"
        except ServerDied as died:
            how += ", which it refuses"
            tail = server.log_tail(2)
            if "space" not in tail:
                wrong.append(f"{died}, and the log does not say that the disk is full: {tail}")
    time.sleep(1)
    ballast.unlink()
    if not server.running():
        server.start()
    load.pause()
    server.drain()
    report, problem = server.audit()
    wrong += [problem] if problem else rounds.Rounds(server, load, 0, None).compare(report)
    more, said = verify.everything(server, load)
    frame.suite.report(f"{how}: {sum(load.refusals.values())} refusals such as {messages[:1]}, then room again: {said}", wrong + more + load.wrong)
    load.wrong.clear()
