"""What README.md and docs/ say to type works as it stands there."""
import re
import shlex
import subprocess

from command_line import commands, wrong_flags
from harness import PATIENCE_S, PROGRAM, ROOT, environment, sandbox

PREFIX = "build/release/sightline "


def blocks(path):
    """Lines of the fenced blocks of a page, comments and continuations resolved. What outside engines are started for is run by those that
    start them (label `engines`)."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        if "./dev engines" in block:
            continue
        for row in block.replace("\\\n", " ").splitlines():
            if row.strip():
                yield row.strip()


def flags_exist():
    with sandbox() as box:
        helps = commands(box)
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
            wrong = wrong_flags(page.read_text(), helps)
            assert not wrong, (page, wrong)


def dev_commands_exist():
    known = set(re.findall(r"^cmd_([a-z]+)\(\)", (ROOT / "dev").read_text(), re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for name in re.findall(r"\./dev ([a-z]+)", page.read_text()):
            assert name in known, (page, name)


def readme_runs():
    """The commands of README.md, as written, in a tree like ours; what runs until it is ended is ended at the end."""
    lines = [row for row in blocks(ROOT / "README.md") if row.startswith(PREFIX)]
    assert len(lines) >= 5, lines
    with sandbox() as box:
        (box.path / "build/release").mkdir(parents=True)
        (box.path / "build/release/sightline").symlink_to(PROGRAM)
        box.run("simulate", "--count", "5000", "--rate", "100", "--out", "events.ndjson").expect(0)
        running = []
        try:
            for row in lines:
                words = shlex.split(row, comments=True)
                if words[1] in ("up", "demo"):
                    server = subprocess.Popen(words, cwd=box.path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    running.append(server)
                    first = server.stdout.readline().decode()
                    assert "sightline runs at" in first, (row, first)
                    continue
                done = subprocess.run(words, cwd=box.path, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
                assert done.returncode == 0, (row, done)
        finally:
            for server in running:
                server.terminate()
                server.wait(PATIENCE_S)
                server.stdout.close()
        assert all(server.returncode == 0 for server in running)
        assert (box.path / "top.csv").read_text().startswith("window_start,window_end,geographical_location_oid,")


def examples_of_help_run():
    """The examples that need nothing but the preset."""
    with sandbox() as box:
        for name, text in commands(box).items():
            for row in re.findall(r"^  (sightline .*)$", text.split("\nExamples:\n")[1], re.MULTILINE):
                words = shlex.split(row, comments=True)[1:]
                if name not in ("check", "plan", "config show", "config schema", "config docs", "completion", "version"):
                    continue
                if ">" in words:
                    words = words[:words.index(">")]
                words = [word if word != "sightline.yaml" else "presets/top-items/sightline.yaml" for word in words]
                box.run(*words, env={"SIGHTLINE_CONFIG": "presets/top-items/sightline.yaml"}).expect(0)


def cases():
    yield "flags that pages name", flags_exist
    yield "commands of ./dev that pages name", dev_commands_exist
    yield "the commands of README.md", readme_runs
    yield "the examples of the help", examples_of_help_run
