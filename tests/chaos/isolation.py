"""A corner of the machine that vanishes as a whole: namespaces of our own for network, mounts and processes.

Whatever happens to the suite, Ctrl-C and SIGKILL included, all that it started ends with it, and its networks and mounts are gone.
"""
import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags):
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter_network(descriptor):
    """This thread's new sockets are in that network from now on."""
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter(after):
    """Goes on in namespaces of its own; "" when that worked, else why not.

    What goes on is another process: this one waits for it, calls `after`, and ends with its status.
    """
    reason = permitted()
    if reason:
        return reason
    unshare(CLONE_NEWNET | CLONE_NEWPID)
    first = _fork()
    if first is not None:
        os._exit(_wait(first, after))
    # Not before: this process, which ends last, is to see no mount of those.
    unshare(CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    suite = _fork()
    if suite is not None:
        # The first process of a namespace of processes: it takes in those whose parents have ended. All others end with it.
        os._exit(_wait(suite, lambda: None))
    # Output is whole lines, wherever it goes.
    sys.stdout.reconfigure(line_buffering=True)
    return ""


def permitted():
    """Tries it on a process that does not matter; "" or why it is not permitted."""
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"unshare ended with {tried.returncode}"


def _fork():
    """The child's process in the parent, None in the child, which ends when its parent does."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return None


def _wait(child, after):
    """Waits for the child, whom signals to us are for, and for whoever else ends here; gives the child's exit status."""
    told = []

    def tell(*_):
        os.kill(child, signal.SIGKILL if told else signal.SIGTERM)  # whoever asks twice means it
        told.append(True)

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, tell)
    while True:
        ended, status = os.wait()
        if ended == child:
            after()
            code = os.waitstatus_to_exitcode(status)
            if code < 0 and not told:
                print(f"chaos: ended by signal {-code}", file=sys.stderr, flush=True)
            return code & 0xFF
