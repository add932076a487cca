"""A network of nodes, each a network namespace with one wire to the hub, where this process is: there packets are dropped and held up.

Addresses are of 198.18.0.0/15, which is set aside for tests. Without namespaces all nodes are this machine, and nothing can be cut.
"""
import contextlib
import os
import re
import socket
import subprocess

import isolation

CUTS = {"cut-in": ("to",), "cut-out": ("from",), "cut-both": ("to", "from")}


def ip(*words, check=True):
    return subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=check)


class Loopback:
    """A node without a network of its own."""

    address = "127.0.0.1"

    def __init__(self, name):
        self.name = name

    def wrap(self, command):
        return command

    def connect(self, address, timeout):
        return socket.create_connection(address, timeout)


class Node:
    def __init__(self, name, number):
        self.name = name
        self.address = f"198.18.{number}.2"
        self.wire = f"hub-{number}"
        hub = f"198.18.{number}.1"
        ip("netns", "add", name)
        ip("link", "add", self.wire, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{hub}/30", "dev", self.wire)
        ip("link", "set", self.wire, "up")
        ip("-n", name, "addr", "add", f"{self.address}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "route", "add", "default", "via", hub)
        self._place = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self._hub = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def wrap(self, command):
        """The command, run in this node. It keeps the process's number."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def connect(self, address, timeout):
        """A connection that begins in this node."""
        isolation.enter_network(self._place)
        try:
            return socket.create_connection(address, timeout)
        finally:
            isolation.enter_network(self._hub)


class Network:
    def __init__(self, isolated):
        self.isolated = isolated
        self.nodes = {}
        self.cannot_cut = "network namespaces are not permitted here"
        self.can_delay = False
        if not isolated:
            return
        ip("link", "set", "lo", "up")
        _forget_name_servers()
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as setting:
            setting.write("1")
        self.cannot_cut = ip("rule", "add", "to", "198.18.255.2", "blackhole", check=False).stderr.strip()
        delay = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
        self.can_delay = subprocess.run(delay, capture_output=True).returncode == 0
        if self.can_delay:
            subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)

    def node(self, name):
        if name not in self.nodes:
            self.nodes[name] = Node(name, len(self.nodes) + 1) if self.isolated else Loopback(name)
        return self.nodes[name]

    def cut(self, node, fault):
        """Packets to or from the node are dropped without a word, as CUTS says."""
        for direction in CUTS[fault]:
            ip("rule", "add", direction, node.address, "blackhole")

    def mend(self, node):
        for direction in ("to", "from"):
            while ip("rule", "del", direction, node.address, "blackhole", check=False).returncode == 0:
                pass

    @contextlib.contextmanager
    def delayed(self, node, milliseconds):
        """What goes to the node, and comes from it, is so much later, more or less."""
        def rule(verb, *more):
            subprocess.run(["tc", "qdisc", verb, "dev", node.wire, "root", *more], check=True, capture_output=True)
            subprocess.run(node.wrap(["tc", "qdisc", verb, "dev", "eth0", "root", *more]), check=True, capture_output=True)
        rule("add", "netem", "delay", f"{milliseconds}ms", f"{milliseconds // 2}ms")
        try:
            yield
        finally:
            rule("del")


def _forget_name_servers():
    """None can be reached from here, and engines ask for the names of addresses: the answer is to be a no, and not half a minute of silence."""
    if os.path.exists("/etc/resolv.conf"):
        subprocess.run(["mount", "--bind", "/dev/null", "/etc/resolv.conf"], check=True)


def free_port(count=1):
    """A port of the loopback address that nobody listens on, and `count - 1` such behind it."""
    while True:
        with contextlib.ExitStack() as stack:
            first = None
            try:
                for i in range(count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", 0 if first is None else first + i))
                    first = first or probe.getsockname()[1]
                return first
            except (OSError, OverflowError):
                continue


def version_of(text):
    """The first thing in a text that looks like a version."""
    found = re.search(r"v?\d+(\.\d+)+", text)
    return found[0] if found else text.strip()
