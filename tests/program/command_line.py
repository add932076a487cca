"""Every command: its help, its formats, its exit codes, and what it says to a typing mistake."""
import json
import os
import re
import subprocess

from harness import PROGRAM, environment, line, sandbox

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def commands(box):
    """{command: its help}, from the overview down."""
    found = {}
    overview = box.run("--help").expect(0).out
    for name in re.findall(r"^  ([a-z][a-z-]*)  +\S", overview, re.MULTILINE):
        text = box.run(name, "--help").expect(0).out
        words = re.findall(r"^  ([a-z][a-z-]*)  +\S", text.split("\nCommands:\n")[1], re.MULTILINE) if "\nCommands:\n" in text else []
        for word in words:
            found[f"{name} {word}"] = box.run(name, word, "--help").expect(0).out
        if not words:
            found[name] = text
    return found


def flags_of(text):
    """Flags of the sections Options and Global options."""
    sections = re.split(r"\n(?=\S[^\n]*:\n)", text)
    listed = [section for section in sections if re.match(r"(Global options|Options):", section)]
    return {flag for section in listed for row in re.findall(r"^  (\S.*)$", section, re.MULTILINE) for flag in FLAG.findall(row.split("  ")[0])}


def wrong_flags(text, helps):
    """Flags that a line of text gives to a command that does not have them."""
    wrong = []
    for row in text.splitlines():
        for call in re.findall(r"(?:^|[\s/`])sightline ((?:[^`|#;]|\\\|)*)", row):
            words = call.split()
            name = " ".join(words[:2]) if " ".join(words[:2]) in helps else words[0] if words else ""
            if name in helps:
                wrong += [(name, flag) for flag in FLAG.findall(call) if flag not in flags_of(helps[name])]
    return wrong


def helps_name_what_there_is():
    with sandbox() as box:
        helps = commands(box)
        assert {"up", "demo", "run", "check", "plan", "send", "simulate", "topic ls", "topic describe", "topic tail", "topic produce",
                "topic verify", "topic repair", "dead-letter ls", "dead-letter show", "audit", "query", "config show", "doctor",
                "completion", "version"} <= helps.keys(), sorted(helps)
        for name, text in helps.items():
            assert "\nExamples:\n" in text and "\nUsage: sightline " + name in text, text
            wrong = wrong_flags(text, helps) + [(name, flag) for flag in FLAG.findall(text) if flag not in flags_of(text)]
            assert not wrong, (name, wrong)
            # The listed flags are taken: each fails, if at all, by its value.
            for flag in flags_of(text) - {"--help"}:
                assert "unknown option" not in box.run(*name.split(), flag + "=", "--help").err, (name, flag)
        assert box.run("help").expect(0).out == box.run("--help").out
        assert box.run("help", "topic", "tail").expect(0).out == helps["topic tail"]


def formats():
    with sandbox() as box, box.server() as server:
        assert server.post(line(1) + b"broken\n")[0] == 200
        for call in (("topic", "ls"), ("topic", "describe", "camera_events"), ("topic", "tail", "camera_events"), ("topic", "verify"),
                     ("dead-letter", "ls"), ("dead-letter", "show"), ("audit",), ("query", "select * from item_counts"),
                     ("config", "show", box.config), ("doctor", box.config), ("check", box.config), ("version",), ("plan", box.config)):
            done = box.ask(*call, "--format", "json")
            json.loads(done.out)
            assert done.status in ((0, 1) if call[0] == "doctor" else (0,)), done


def topics_of_ones_own():
    with sandbox() as box:
        with box.server():
            box.ask("topic", "produce", "notes", stdin="a\nb\n").expect(1, err="there is no topic")
            box.ask("topic", "produce", "notes", "--create", stdin="a\nb\n").expect(0, out="count +2")
            # More than one request takes, blank lines among it: in batches, in order.
            many = "".join(f"{i:090}\n" + "\n" * (i % 5000 == 0) for i in range(200_000))
            box.ask("topic", "produce", "many", "--create", stdin=many).expect(0, out=["base +0", "count +200000"])
            last = box.ask("topic", "tail", "many", "--format", "json").expect(0).json()[-1]
            assert (last["offset"], last["value"]) == (199_999, f"{199_999:090}"), last
            box.ask("topic", "produce", "many", stdin="a\n" * 100_000 + "x" * (16 << 20)).expect(
                1, err="a line is longer than 15MiB; the [0-9,]+ records before stay appended")
            box.ask("topic", "produce", "many").expect(1, err="no record")
            box.ask("topic", "produce", "camera_events", stdin="{}\n").expect(1, err="accepted events only")
            box.ask("topic", "produce", "dead_letters.camera_events", stdin="x\n").expect(1, err="alone")
        box.ask("topic", "produce", "notes", stdin="c\n").expect(0)
        box.ask("topic", "produce", "camera_events", stdin="{}\n").expect(1, err="accepted events only")
        tail = box.ask("topic", "tail", "notes", "--format", "json").expect(0).json()
        assert [record["value"] for record in tail] == ["a", "b", "c"], tail


def exit_codes():
    with sandbox() as box:
        for call, status, says in (
                ((), 2, "Usage: sightline COMMAND"),
                (("topc",), 2, 'unknown command "topc"; did you mean topic?'),
                (("topic",), 2, "Commands:"),
                (("topic", "tial"), 2, "did you mean tail"),
                (("topic", "tail"), 2, "TOPIC"),
                (("topic", "tail", "a", "b"), 2, "one argument too many"),
                (("topic", "tail", "a", "--limt", "3"), 2, "did you mean --limit"),
                (("topic", "tail", "a", "--limit", "x"), 2, "not a number"),
                (("topic", "tail", "a", "--limit", "0"), 2, "above 0"),
                (("dead-letter", "ls", "--reason", "lat"), 2, "did you mean late"),
                (("dead-letter", "ls", "-n", "5000"), 2, "1 to 1000"),
                (("simulate", "--for", "5 parsecs"), 2, "--for"),
                (("send", "x", "--batch", "5"), 2, "--batch"),
                (("version", "--format", "jsn"), 2, "did you mean json"),
                (("completion", "tcsh"), 2, "bash"),
                (("check", "none.yaml"), 1, ""),
                (("up", "none.yaml"), 1, "none.yaml"),
                (("config", "show", box.config, "--below", "nothing"), 1, "there is no setting nothing"),
        ):
            done = box.run(*call)
            assert done.status == status and says in done.err, (call, done)
        with box.server() as server:
            assert server.post(line(1))[0] == 200
            for call, says in ((("topic", "tail", "camera_event"), "did you mean 'camera_events'"),
                               (("topic", "tail", "camera_events", "--partition", "8"), "partition"),
                               (("dead-letter", "ls", "item_count"), "item_counts"),
                               (("query", "select item from item_counts"), "item_name"),
                               (("query", "drop table item_counts"), "SELECT"),
                               (("query", "select * from read_csv('/etc/passwd')"), "read_csv")):
                box.ask(*call).expect(1, err=re.escape(says))


def completions_load():
    script = """source <("$0" completion bash)
complete -p sightline >/dev/null || exit 1
COMP_WORDS=(sightline topic ver) COMP_CWORD=2 COMP_LINE='sightline topic ver' COMP_POINT=19
"$(complete -p sightline | sed 's/.*-F \\([^ ]*\\).*/\\1/')" sightline ver topic
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script, PROGRAM], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0 and done.stdout.strip() == "verify" and not done.stderr, done
    with sandbox() as box:
        for shell in ("bash", "zsh", "fish"):
            box.run("completion", shell).expect(0, out="repair")


def closed_streams():
    """A pipe that somebody closes is no crash, and output that can't be written is no success."""
    done = subprocess.run(["bash", "-c", f"set -o pipefail; '{PROGRAM}' config docs | head -n 1"], capture_output=True, text=True,
                          env=environment(), check=False)
    assert done.stdout.startswith("#") and done.returncode in (0, 1, 141), done
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "config", "docs"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
        assert done.returncode == 1 and b"could not be written" in done.stderr, done


def generated_pages_are_fresh():
    from harness import ROOT
    with sandbox() as box:
        assert box.run("config", "docs").expect(0).out == (ROOT / "docs/configuration.md").read_text(), "docs/configuration.md is stale"
        assert box.run("config", "schema").expect(0).out == (ROOT / "schema/sightline.schema.json").read_text(), "the schema is stale"


def cases():
    yield "help names what there is", helps_name_what_there_is
    yield "every listing as JSON", formats
    yield "topics of one's own", topics_of_ones_own
    yield "exit codes and typing mistakes", exit_codes
    yield "completion scripts", completions_load
    yield "closed streams", closed_streams
    yield "generated pages", generated_pages_are_fresh
