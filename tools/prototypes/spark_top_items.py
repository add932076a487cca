#!/usr/bin/env python3
"""Top items in Spark Structured Streaming, for decision record 14: spark_top_items.py [--input FOLDER]

Runs three questions on a local Spark (pip install pyspark==4.1.4) and prints what came out, as JSON lines:

  chain   dedupe, window, count and rank in one query: does Spark take it?
  late    the record that is late in its partition's own time and not in the query's: which one is dropped?
  tie     equal counts: can the order be the bytes' one?

Each event is a line of JSON as camera_events has them. Without --input a small set of its own is written, whose answer is known.
"""
import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile

SCHEMA = "geographical_location_oid BIGINT, detection_oid BIGINT, item_name STRING, timestamp_detected BIGINT"
MINUTE = 60_000
BASE = 1_700_000_040_000  # a whole minute; a query drops what lies at or before 1970


def event(location, detection, item, at):
    return json.dumps({"geographical_location_oid": location, "detection_oid": detection, "item_name": item, "timestamp_detected": BASE + at})


def write(folder, batches):
    """A file a micro-batch, in the order of their names."""
    for number, lines in enumerate(batches):
        path = pathlib.Path(folder) / f"{number:03}.json"
        path.write_text("\n".join(lines) + "\n")
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))


def events(spark, folder):
    from pyspark.sql import functions as f
    return (spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(folder))
            .withColumn("event_time", f.timestamp_millis("timestamp_detected")).withWatermark("event_time", "30 seconds"))


def run(query_frame, folder, mode="append"):
    """The rows that a streaming query put out, up to the end of its input."""
    name = "out_" + pathlib.Path(folder).name.replace("-", "_")
    query = (query_frame.writeStream.outputMode(mode).format("memory").queryName(name)
             .option("checkpointLocation", tempfile.mkdtemp()).trigger(availableNow=True).start())
    query.awaitTermination()
    return [row.asDict(recursive=True) for row in query_frame.sparkSession.table(name).collect()]


def counts(spark, folder):
    from pyspark.sql import functions as f
    return (events(spark, folder).dropDuplicatesWithinWatermark(["detection_oid"])
            .groupBy(f.window("event_time", "1 minute"), "geographical_location_oid", "item_name").count())


def chain(spark, folder):
    """A ranking within window and location behind the counts."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f
    order = Window.partitionBy("window", "geographical_location_oid").orderBy(f.desc("count"), f.asc("item_name"))
    try:
        rows = run(counts(spark, folder).withColumn("rank", f.row_number().over(order)).where("rank <= 10"), folder)
        return {"question": "chain", "taken": True, "rows": len(rows)}
    except Exception as refused:
        return {"question": "chain", "taken": False, "why": str(refused).split("\n")[0][:200]}


def late(spark):
    """Two partitions of a topic in one query have one watermark: it is taken at the end of each micro-batch, from the greatest time in it."""
    folder = tempfile.mkdtemp(prefix="late-")
    write(folder, [[event(1, 1, "cat", 0), event(1, 2, "cat", 95_000), event(1, 3, "dog", 5), event(2, 4, "cat", 5_000)],
                   [event(1, 5, "eel", 6), event(1, 6, "cat", 300_000)], [event(1, 7, "cat", 400_000)], [event(1, 8, "cat", 401_000)]])
    rows = run(counts(spark, folder), folder)
    first = sorted((r["geographical_location_oid"], r["item_name"], r["count"]) for r in rows if r["window"]["start"].replace(tzinfo=datetime.UTC).timestamp() * 1000 == BASE)
    return {"question": "late", "window_0": first, "ours": [[1, "cat", 1], [2, "cat", 1]],
            "equal": [list(row) for row in first] == [[1, "cat", 1], [2, "cat", 1]]}


def tie(spark):
    """Texts compare by their UTF-8 bytes in Spark's default collation."""
    names = ["\ufffd", "\U0001f600", "B", "a", ""]
    rows = spark.createDataFrame([(name,) for name in names], "item STRING").orderBy("item").collect()
    came = [row["item"] for row in rows]
    return {"question": "tie", "equal": came == sorted(names, key=lambda name: name.encode())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=pathlib.Path)
    options = parser.parse_args()
    from pyspark.sql import SparkSession
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
             .config("spark.sql.shuffle.partitions", "2").config("spark.driver.memory", "1g").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    folder = options.input
    if folder is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="chain-"))
        write(folder, [[event(1, 1, "cat", 0), event(1, 1, "cat", 0), event(1, 2, "dog", 1)], [event(1, 3, "cat", 10 * MINUTE)]])
    for answer in (chain(spark, folder), late(spark), tie(spark)):
        print(json.dumps(answer), flush=True)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
