#!/usr/bin/env python3
"""The job of the preset top-items as one DuckDB query over the file: duckdb_top_items.py FILE THREADS [ROWS.csv]

A batch engine knows no late events: use a file without any. Prints {"version", "seconds", "rows"}; seconds are those of the query alone,
which with ROWS.csv also writes the rows (window_start,window_end,geographical_location_oid,item_name,item_count,rank).
"""
import json
import sys
import time

import duckdb

QUERY = """
with events as (
  select * from read_json(?, format = 'newline_delimited', ignore_errors = true, columns = {geographical_location_oid: 'BIGINT',
      video_camera_oid: 'BIGINT', detection_oid: 'BIGINT', item_name: 'VARCHAR', timestamp_detected: 'BIGINT'})
  where detection_oid is not null and item_name is not null and timestamp_detected is not null),
once as (select distinct on (detection_oid) * from events),
counts as (
  select timestamp_detected // 60000 as minute, geographical_location_oid, item_name, count(*) as item_count from once group by all),
ranked as (
  select *, row_number() over (partition by minute, geographical_location_oid order by item_count desc, item_name) as rank from counts)
select minute * 60000 as window_start, (minute + 1) * 60000 as window_end, geographical_location_oid, item_name, item_count, rank
from ranked where rank <= 10
"""
ORDERED = f"select * from ({QUERY}) order by window_start, geographical_location_oid, rank"


def main(path, threads, rows_path=None):
    connection = duckdb.connect()
    connection.execute(f"set threads = {int(threads)}")
    start = time.monotonic()
    if rows_path is None:
        rows = connection.execute(f"select count(*), sum(item_count) from ({QUERY})", [path]).fetchone()[0]
    else:
        rows = connection.execute(f"copy ({ORDERED}) to '{rows_path}' (format csv, header)", [path]).fetchone()[0]
    print(json.dumps({"version": duckdb.__version__, "seconds": time.monotonic() - start, "rows": rows}))


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
