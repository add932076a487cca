"""The table of figures, for the terminal and as the page docs/benchmarks.md."""
import os
import pathlib
import platform
import statistics
import subprocess

from harness import REPOSITORY


def number(value):
    """Three figures that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bound(figure, value):
    return f"{'≥' if figure.higher_is_better else '≤'} {value:g}"


def summary(samples, unit, worst=max):
    """Median and worst of samples; of a duration, a size or a latency the worst is the largest."""
    if not samples:
        return ""
    return f"{number(statistics.median(samples))} {unit} ({number(worst(samples))})"


def cells(figure):
    value = f"**{number(figure.value())}**, worst {number(figure.worst())} {figure.unit}" if figure.measured else "—"
    return [figure.what, value, bound(figure, figure.at_least), bound(figure, figure.aim), figure.verdict(),
            summary(figure.samples, figure.sample_unit, min if figure.higher_is_better and not figure.peer_samples else max),
            summary(figure.peer_samples, figure.sample_unit)]


def table(figures):
    """For the terminal."""
    lines = []
    for figure in figures:
        _, value, at_least, aim, verdict, ours, peer = cells(figure)
        lines.append(f"{figure.name:12} {value.replace('*', ''):44} at least {at_least[2:]:6} aim {aim[2:]:6} {verdict:12} ours {ours:22} peer {peer}")
        for text in (figure.missing, figure.failed):
            if text:
                lines.append(f"{'':12} {text}")
    return "\n".join(lines)


def first_line(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine(folder):
    """What the figures were measured on."""
    cpu = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    disk = first_line("findmnt", "-n", "-o", "FSTYPE", "-T", str(folder))
    return (f"{cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory, file system {disk}, Linux {platform.release()}, "
            f"{first_line('g++', '--version')}, Python {platform.python_version()}")


def details(figure):
    lines = [f"### {figure.name}", "", f"- ours: {figure.ours}"]
    if figure.peer:
        lines.append(f"- peer: {figure.peer}")
    if figure.missing:
        lines.append(f"- not measured: {figure.missing}")
    if figure.failed:
        lines.append(f"- failed: {figure.failed}")
    if figure.equality:
        lines.append(f"- equal first: {figure.equality}")
    if figure.note:
        lines.append(f"- {figure.note}")
    for name, samples in (("ours", figure.samples), ("peer", figure.peer_samples)):
        if samples:
            lines.append(f"- samples, {name}, {figure.sample_unit}: " + ", ".join(number(sample) for sample in samples))
    return lines + [""]


def page(figures, bench, load, sections):
    head = ["figure", "measured", "at least", "aim", "", "ours: median (worst)", "peer: median (worst)"]
    commit = first_line("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
    lines = [
        "# Benchmarks", "",
        "<!-- written by bench/run; do not edit -->", "",
        "The shipped preset through the shipped program, against peers and limits measured in the same run on the same cores. Results are compared "
        "first: a figure whose rows differ does not count. A ratio is that of the medians; \"worst\" takes our worst sample against the peer's median.", "",
        f"- machine: {machine(bench.folder)}; load at the start {load:.1f}",
        f"- program: commit {commit}",
        f"- command: `./dev bench{''.join(' ' + name for name in sections)}`; {bench.events:,} events, seed {bench.seed}, {bench.runs} samples, ours and "
        "the peer's in turns", "",
        "| " + " | ".join(head) + " |", "|" + " --- |" * len(head),
        *("| " + " | ".join(cells(figure)) + " |" for figure in figures), "",
        "## How each was measured", "",
    ]
    for figure in figures:
        lines += details(figure)
    return "\n".join(lines).rstrip() + "\n"
