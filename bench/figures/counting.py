"""The counting stage: overlapping windows against windows that follow each other."""
from harness import HERE, Section, say, speed_ratio


def measure(bench, figure):
    program, events = bench.peer("counting_stage"), bench.file_of_events()
    say("rows of both first, then both in turns")
    done = bench.run([program, HERE / "configs/windows.yaml", events, bench.runs], bench.cores(1)).json()
    figure.samples, figure.peer_samples = done["sliding_s"], done["tumbling_s"]
    figure.equality = f"{done['rows']:,} rows of {done['windows']:,} tumbling windows, against the sliding windows that begin with them"
    figure.note = f"{done['events']:,} events, decoded beforehand"


SLIDING = Section(measure, {
    "name": "sliding",
    "what": "the counting stage, sliding windows of 60 s every 5 s against tumbling ones of 60 s, rows discarded",
    "unit": "times as fast",
    "at_least": 0.7,
    "aim": 0.9,
    "higher_is_better": True,
    "ours": "`bench/stages/counting_stage.cc`: the processor on decoded events, one thread; twelve windows close where one does, the rows of each are made",
    "peer": "the same with tumbling windows",
    "of": speed_ratio,
})
