-- The final rows are those of sightline's own engine. What differs is when they come, and this:
-- - No early results: a window is put out once, when it is final, and seen after the next checkpoint (1s).
-- - No corrections: allowed_lateness above 0s is refused, and dead letters that are offered again count as records
--   that come now.
-- - A window is final when all partitions have passed it: one that gets no records holds back every window. Ticks of
--   idle partitions (idle_after 10s) do not move its watermark here.
-- - Each of the source's tasks reads one partition: scan.parallelism must stay the number of partitions (2), or a
--   watermark is that of several and records are late otherwise.
-- - Events are read as JSON: one that is stored as Protobuf ends the job with an error.
-- - Times are UTC: 'table.local-time-zone' must stay as it is.
-- - Doubles (level) are added in the order in which they come, which may differ in the last digits.
-- - Doubles (middle) are added in the order in which they come, which may differ in the last digits.

SET 'pipeline.name' = 'sl.sightline.all';
SET 'execution.runtime-mode' = 'streaming';
SET 'table.local-time-zone' = 'UTC';
SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '1000 ms';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'pipeline.object-reuse' = 'true';
SET 'table.exec.state.ttl' = '0 ms';
SET 'table.exec.source.idle-timeout' = '0 ms';

-- Accepted events: what is malformed or breaks the contract never gets here.
CREATE TEMPORARY TABLE readings (
  station STRING NOT NULL,
  reading STRING NOT NULL,
  amount BIGINT,
  `level` DOUBLE,
  good BOOLEAN,
  note STRING,
  `at` BIGINT NOT NULL,
  event_time AS TO_TIMESTAMP_LTZ(`at`, 3),
  arrival AS PROCTIME(),
  kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL,
  kafka_time TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
  kafka_headers MAP<STRING NOT NULL, BYTES> METADATA FROM 'headers' VIRTUAL,
  is_ahead AS TO_TIMESTAMP_LTZ(`at`, 3)
    > COALESCE(TO_TIMESTAMP_LTZ(CAST(CAST(kafka_headers['sl-at'] AS STRING) AS BIGINT), 3), kafka_time) + INTERVAL '60' SECOND,
  WATERMARK FOR event_time AS CASE WHEN NOT is_ahead THEN event_time - INTERVAL '30.001' SECOND END
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.readings',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'properties.group.id' = 'sl.flink.all',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '0',
  'scan.watermark.emit.strategy' = 'on-event',
  'scan.parallelism' = '2',
  'format' = 'json',
  'json.ignore-parse-errors' = 'false'
);

-- Late is what comes when the watermark of its own partition has passed its windows; duplicates move it, too.
CREATE TEMPORARY VIEW all_records AS
SELECT
  station, reading, amount, `level`, good, note, `at`, event_time, arrival, kafka_partition, kafka_offset,
  CURRENT_WATERMARK(event_time) AS watermark_before,
  COALESCE(CURRENT_WATERMARK(event_time) >= TO_TIMESTAMP_LTZ(`at` - MOD(MOD(`at`, 5000) + 5000, 5000) + 59999, 3), FALSE) AS is_late
FROM readings
WHERE NOT is_ahead;

CREATE TEMPORARY VIEW all_on_time AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, watermark_before, station, reading, amount,
  `level`, good, note, `at`
FROM all_records
WHERE NOT is_late;

-- A record that is late for some of its windows counts in the others.
CREATE TEMPORARY VIEW all_counted AS
SELECT
  window_start, window_end, station,
  COUNT(*) AS n,
  COUNT(amount) AS amounts,
  TRY_CAST(CAST(SUM(CAST(amount AS DECIMAL(38, 0))) AS STRING) AS BIGINT) AS total,
  CAST(SUM(CAST(amount AS DECIMAL(38, 0))) AS DOUBLE) / COUNT(amount) AS mean,
  MIN(note) AS least,
  MAX(CAST(good AS INT)) = 1 AS any_good,
  COUNT(DISTINCT note) AS kinds,
  SUM(`level`) AS `level`,
  SUM(`level`) / COUNT(`level`) AS middle,
  (SUM(CAST(amount AS DECIMAL(38, 0))) IS NOT NULL AND TRY_CAST(CAST(SUM(CAST(amount AS DECIMAL(38, 0))) AS STRING) AS BIGINT) IS NULL) AS overflow
FROM TABLE(HOP(TABLE all_on_time, DESCRIPTOR(event_time), INTERVAL '5' SECOND, INTERVAL '60' SECOND))
WHERE watermark_before IS NULL OR watermark_before < CAST(window_end AS TIMESTAMP_LTZ(3)) - INTERVAL '0.001' SECOND
GROUP BY window_start, window_end, station;

CREATE TEMPORARY VIEW `all` AS
SELECT
  window_start, window_end, station, n, amounts, total, mean, least, any_good, kinds, `level`, middle,
  overflow
FROM all_counted;

-- Dead letters: where the record lies, and why it is not counted.
CREATE TEMPORARY TABLE all_dead_letters (
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  reason STRING NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.all.late',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'kafka_partition',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.all.late',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE all_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  station STRING,
  result_rows ARRAY<ROW<
    station STRING, n BIGINT, amounts BIGINT, total BIGINT, mean DOUBLE, least STRING, any_good BOOLEAN,
    kinds BIGINT, `level` DOUBLE, middle DOUBLE, overflow BOOLEAN>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.all',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'station',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.all',
  'properties.transaction.timeout.ms' = '600000'
);

EXECUTE STATEMENT SET
BEGIN
INSERT INTO all_dead_letters
SELECT kafka_partition, kafka_offset, 'future' FROM readings WHERE is_ahead
UNION ALL SELECT kafka_partition, kafka_offset, 'late' FROM all_records WHERE is_late;

INSERT INTO all_results
SELECT
  window_start, window_end, station,
  ARRAY_AGG(ROW(
    station, n, amounts, total, mean, least, any_good, kinds, `level`, middle, overflow)), 0
FROM `all`
GROUP BY window_start, window_end, station;
END;
