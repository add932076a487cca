-- The final rows are those of sightline's own engine. What differs is when they come, and this:
-- - No early results: a window is put out once, when it is final, and seen after the next checkpoint (1s).
-- - No corrections: allowed_lateness above 0s is refused, and dead letters that are offered again count as records
--   that come now.
-- - A window is final when all partitions have passed it: one that gets no records holds back every window. Ticks of
--   idle partitions (idle_after 10s) do not move its watermark here.
-- - Each of the source's tasks reads one partition: scan.parallelism must stay the number of partitions (4), or a
--   watermark is that of several and records are late otherwise.
-- - State is kept for 2d by the wall clock, twice the dedupe's `within`, which goes by event time elsewhere: in a
--   replay that runs faster than time ids are remembered longer, and a record behind the horizon is not late for that
--   alone.
-- - Names from locations are attached as they are when the job is submitted.
-- - Events are read as JSON: one that is stored as Protobuf ends the job with an error.
-- - Times are UTC: 'table.local-time-zone' must stay as it is.

SET 'pipeline.name' = 'sl.sightline.counts';
SET 'execution.runtime-mode' = 'streaming';
SET 'table.local-time-zone' = 'UTC';
SET 'parallelism.default' = '4';
SET 'execution.checkpointing.interval' = '1000 ms';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'pipeline.object-reuse' = 'true';
SET 'table.exec.state.ttl' = '172800000 ms';
SET 'table.exec.source.idle-timeout' = '0 ms';

-- Accepted events: what is malformed or breaks the contract never gets here.
CREATE TEMPORARY TABLE events (
  location BIGINT NOT NULL,
  detection BIGINT NOT NULL,
  item STRING NOT NULL,
  `at` BIGINT NOT NULL,
  event_time AS TO_TIMESTAMP_LTZ(`at`, 3),
  arrival AS PROCTIME(),
  kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL,
  WATERMARK FOR event_time AS event_time - INTERVAL '30.001' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.events',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'properties.group.id' = 'sl.flink.counts',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '0',
  'scan.watermark.emit.strategy' = 'on-event',
  'scan.parallelism' = '4',
  'format' = 'json',
  'json.ignore-parse-errors' = 'false'
);

-- As it was when the job was submitted; rows wait until it is read. A change of the table needs `sightline jobs
-- upgrade`.
CREATE TEMPORARY TABLE locations (
  location BIGINT NOT NULL,
  place STRING,
  valid_from AS TO_TIMESTAMP_LTZ(-62135596800000, 3),
  WATERMARK FOR valid_from AS valid_from,
  PRIMARY KEY (location) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'sl.reference.locations.1',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.bounded.mode' = 'latest-offset',
  'key.format' = 'json',
  'value.format' = 'json'
);

-- Late is what comes when the watermark of its own partition has passed its windows; duplicates move it, too.
CREATE TEMPORARY VIEW counts_records AS
SELECT
  location, detection, item, `at`, event_time, arrival, kafka_partition, kafka_offset,
  COALESCE(CURRENT_WATERMARK(event_time) >= TO_TIMESTAMP_LTZ(`at` - MOD(MOD(`at`, 60000) + 60000, 60000) + 59999, 3), FALSE) AS is_late
FROM events;

-- The first copy of each record. Copies lie in one partition, so that the order of arrival is that of the log.
CREATE TEMPORARY VIEW counts_once AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, location, detection, item, `at`
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY detection ORDER BY arrival ASC) AS copy_number
  FROM counts_records)
WHERE copy_number = 1;

CREATE TEMPORARY VIEW counts_on_time AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, location, detection, item, `at`
FROM counts_once
WHERE NOT is_late;

CREATE TEMPORARY VIEW counts_counted AS
SELECT
  window_start, window_end, window_time, location, item,
  COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE counts_on_time, DESCRIPTOR(event_time), INTERVAL '60' SECOND))
GROUP BY window_start, window_end, window_time, location, item;

-- Ties in byte order of the texts, as everywhere.
CREATE TEMPORARY VIEW top_ranked AS
SELECT
  window_start, window_end, window_time, location, item, n, `rank`
FROM (
  SELECT *,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end, location
      ORDER BY n DESC, item ASC) AS `rank`
  FROM counts_counted)
WHERE `rank` <= 10;

CREATE TEMPORARY VIEW overall_summed AS
SELECT
  window_start, window_end, window_time, item,
  TRY_CAST(CAST(SUM(CAST(n AS DECIMAL(38, 0))) AS STRING) AS BIGINT) AS n,
  (SUM(CAST(n AS DECIMAL(38, 0))) IS NOT NULL AND TRY_CAST(CAST(SUM(CAST(n AS DECIMAL(38, 0))) AS STRING) AS BIGINT) IS NULL) AS overflow
FROM counts_counted
GROUP BY window_start, window_end, window_time, item;

-- Ties in byte order of the texts, as everywhere.
CREATE TEMPORARY VIEW overall_ranked AS
SELECT
  window_start, window_end, window_time, item, n, overflow, `rank`
FROM (
  SELECT *,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end
      ORDER BY n DESC NULLS LAST, item ASC) AS `rank`
  FROM overall_summed)
WHERE `rank` <= 10;

-- Rows whose key the table lacks stay, without a name.
CREATE TEMPORARY VIEW counts_named AS
SELECT
  l.window_time AS closed_at,
  l.location, r.place, l.item, l.n
FROM counts_counted AS l
LEFT JOIN locations FOR SYSTEM_TIME AS OF l.window_time AS r ON l.location = r.location;

CREATE TEMPORARY VIEW counts_windowed AS
SELECT
  window_start, window_end, window_time, location, place, item, n
FROM TABLE(TUMBLE(TABLE counts_named, DESCRIPTOR(closed_at), INTERVAL '60' SECOND));

CREATE TEMPORARY VIEW counts AS
SELECT
  window_start, window_end, location, place, item, n
FROM counts_windowed;

-- Rows whose key the table lacks stay, without a name.
CREATE TEMPORARY VIEW top_named AS
SELECT
  l.window_time AS closed_at,
  l.location, r.place, l.item, l.n, l.`rank`
FROM top_ranked AS l
LEFT JOIN locations FOR SYSTEM_TIME AS OF l.window_time AS r ON l.location = r.location;

CREATE TEMPORARY VIEW top_windowed AS
SELECT
  window_start, window_end, window_time, location, place, item, n, `rank`
FROM TABLE(TUMBLE(TABLE top_named, DESCRIPTOR(closed_at), INTERVAL '60' SECOND));

CREATE TEMPORARY VIEW top AS
SELECT
  window_start, window_end, location, place, item, n, `rank`
FROM top_windowed;

CREATE TEMPORARY VIEW overall AS
SELECT
  window_start, window_end, item, n, overflow, `rank`
FROM overall_ranked;

-- Dead letters: where the record lies, and why it is not counted.
CREATE TEMPORARY TABLE counts_dead_letters (
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  reason STRING NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.counts.late',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'kafka_partition',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.counts.late',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE counts_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT,
  result_rows ARRAY<ROW<
    location BIGINT, place STRING, item STRING, n BIGINT>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.counts',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'location',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.counts',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE top_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT,
  result_rows ARRAY<ROW<
    location BIGINT, place STRING, item STRING, n BIGINT, `rank` BIGINT>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.top',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'location',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.top',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE overall_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  result_rows ARRAY<ROW<
    item STRING, n BIGINT, overflow BOOLEAN, `rank` BIGINT>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.overall',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'window_start',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.overall',
  'properties.transaction.timeout.ms' = '600000'
);

EXECUTE STATEMENT SET
BEGIN
INSERT INTO counts_dead_letters
SELECT kafka_partition, kafka_offset, 'late' FROM counts_once WHERE is_late;

INSERT INTO counts_results
SELECT
  window_start, window_end, location, ARRAY_AGG(ROW(
    location, place, item, n)), 0
FROM counts
GROUP BY window_start, window_end, location;

INSERT INTO top_results
SELECT
  window_start, window_end, location, ARRAY_AGG(ROW(
    location, place, item, n, `rank`)), 0
FROM top
GROUP BY window_start, window_end, location;

INSERT INTO overall_results
SELECT
  window_start, window_end, ARRAY_AGG(ROW(
    item, n, overflow, `rank`)), 0
FROM overall
GROUP BY window_start, window_end;
END;
