-- The final rows are those of sightline's own engine. What differs is when they come, and this:
-- - No early results: a window is put out once, when it is final, and seen after the next checkpoint (1s).
-- - No corrections: allowed_lateness above 0s is refused, and dead letters that are offered again count as records
--   that come now.
-- - A window is final when all partitions have passed it: one that gets no records holds back every window. Ticks of
--   idle partitions (idle_after 10s) do not move its watermark here.
-- - Each of the source's tasks reads one partition: scan.parallelism must stay the number of partitions (4), or a
--   watermark is that of several and records are late otherwise.
-- - Events are read as JSON: one that is stored as Protobuf ends the job with an error.
-- - Times are UTC: 'table.local-time-zone' must stay as it is.

SET 'pipeline.name' = 'sl.sightline.counts';
SET 'execution.runtime-mode' = 'streaming';
SET 'table.local-time-zone' = 'UTC';
SET 'parallelism.default' = '4';
SET 'execution.checkpointing.interval' = '1000 ms';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'pipeline.object-reuse' = 'true';
SET 'table.exec.state.ttl' = '0 ms';
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

-- Late is what comes when the watermark of its own partition has passed its windows; duplicates move it, too.
CREATE TEMPORARY VIEW counts_records AS
SELECT
  location, detection, item, `at`, event_time, arrival, kafka_partition, kafka_offset,
  COALESCE(CURRENT_WATERMARK(event_time) >= TO_TIMESTAMP_LTZ(`at` - MOD(MOD(`at`, 60000) + 60000, 60000) + 59999, 3), FALSE) AS is_late
FROM events;

CREATE TEMPORARY VIEW counts_on_time AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, location, detection, item, `at`
FROM counts_records
WHERE NOT is_late;

CREATE TEMPORARY VIEW counts_counted AS
SELECT
  window_start, window_end, location, item,
  COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE counts_on_time, DESCRIPTOR(event_time), INTERVAL '60' SECOND))
GROUP BY window_start, window_end, location, item;

-- Ties in byte order of the texts, as everywhere.
CREATE TEMPORARY VIEW counts_ranked AS
SELECT
  window_start, window_end, location, item, n, `rank`
FROM (
  SELECT *,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end, location
      ORDER BY n DESC, item ASC) AS `rank`
  FROM counts_counted)
WHERE `rank` <= 3;

CREATE TEMPORARY VIEW counts AS
SELECT
  window_start, window_end, location, item, n, `rank`
FROM counts_ranked;

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
    location BIGINT, item STRING, n BIGINT, `rank` BIGINT>>,
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

-- Rows by their key, in a topic that may be compacted.
CREATE TEMPORARY TABLE counts_rows (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT NOT NULL,
  item STRING,
  n BIGINT,
  `rank` BIGINT NOT NULL,
  PRIMARY KEY (window_start, location, `rank`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'sl.flink.counts.rows',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.counts.rows',
  'properties.transaction.timeout.ms' = '600000'
);

-- Parquet files, by group and day.
CREATE TEMPORARY TABLE counts_files (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT,
  item STRING,
  n BIGINT,
  `rank` BIGINT,
  window_day STRING
) PARTITIONED BY (location, window_day) WITH (
  'connector' = 'filesystem',
  'path' = 's3://bucket/results/counts',
  'format' = 'parquet',
  'sink.rolling-policy.rollover-interval' = '10 min'
);

-- Rows by their key, in a database.
CREATE TEMPORARY TABLE counts_table (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT NOT NULL,
  item STRING,
  n BIGINT,
  `rank` BIGINT NOT NULL,
  PRIMARY KEY (window_start, location, `rank`) NOT ENFORCED
) WITH (
  'connector' = 'jdbc',
  'url' = 'jdbc:postgresql://db/x',
  'table-name' = 'counts',
  'username' = 'u',
  'password' = '${JDBC_PASSWORD}'
);

EXECUTE STATEMENT SET
BEGIN
INSERT INTO counts_dead_letters
SELECT kafka_partition, kafka_offset, 'late' FROM counts_records WHERE is_late;

INSERT INTO counts_results
SELECT
  window_start, window_end, location, ARRAY_AGG(ROW(
    location, item, n, `rank`)), 0
FROM counts
GROUP BY window_start, window_end, location;

INSERT INTO counts_rows
SELECT
  window_start, window_end, location, item, n, `rank`
FROM counts;

INSERT INTO counts_files
SELECT
  window_start, window_end, location, item, n, `rank`, DATE_FORMAT(window_start, 'yyyy-MM-dd')
FROM counts;

INSERT INTO counts_table
SELECT
  window_start, window_end, location, item, n, `rank`
FROM counts;
END;
