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

SET 'pipeline.name' = 'sl.sightline.derived';
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
  WATERMARK FOR event_time AS event_time - INTERVAL '30.001' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.readings',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'properties.group.id' = 'sl.flink.derived',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '0',
  'scan.watermark.emit.strategy' = 'on-event',
  'scan.parallelism' = '2',
  'format' = 'json',
  'json.ignore-parse-errors' = 'false'
);

-- Late is what comes when the watermark of its own partition has passed its windows; duplicates move it, too.
CREATE TEMPORARY VIEW derived_records AS
SELECT
  station, reading, amount, `level`, good, note, `at`, event_time, arrival, kafka_partition, kafka_offset,
  COALESCE(CURRENT_WATERMARK(event_time) >= TO_TIMESTAMP_LTZ(`at` - MOD(MOD(`at`, 60000) + 60000, 60000) + 59999, 3), FALSE) AS is_late
FROM readings;

CREATE TEMPORARY VIEW derived_kept AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, station, reading, amount, `level`, good, note,
  `at`
FROM derived_records
WHERE NOT (note LIKE 'a%' OR (station = 'x' OR station = 'it''s')) AND (amount >= 1 AND amount <= 9) OR good IS NULL;

CREATE TEMPORARY VIEW derived_derived AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, station, reading, amount, `level`, good, note,
  `at`,
  TRY_CAST(CAST(CAST(amount AS DECIMAL(19, 0)) + CAST(1 AS DECIMAL(19, 0)) AS STRING) AS BIGINT) AS `sum`
FROM derived_kept;

CREATE TEMPORARY VIEW derived_derived_2 AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, station, reading, amount, `level`, good, note,
  `at`, `sum`,
  TRY_CAST(CAST(CAST(`sum` AS DECIMAL(19, 0)) * CAST(-2 AS DECIMAL(19, 0)) AS STRING) AS BIGINT) AS product,
  CASE WHEN TRY_CAST(CAST(CAST(amount AS DECIMAL(19, 0)) - CAST(3 AS DECIMAL(19, 0)) AS STRING) AS BIGINT) = -1 THEN TRY_CAST(CAST(CAST(0 AS DECIMAL(19, 0)) - CAST(100 AS DECIMAL(19, 0)) AS STRING) AS BIGINT) ELSE 100 / NULLIF(TRY_CAST(CAST(CAST(amount AS DECIMAL(19, 0)) - CAST(3 AS DECIMAL(19, 0)) AS STRING) AS BIGINT), 0) END AS ratio,
  amount / 2 AS half,
  MOD(amount, 7) AS rest,
  `level` * CAST(2 AS DOUBLE) / NULLIF((`level` - 1.5E0), 0E0) AS scaled,
  REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(TRIM(note), 'a', 'A'), 'b', 'B'), 'c', 'C'), 'd', 'D'), 'e', 'E'), 'f', 'F'), 'g', 'G'), 'h', 'H'), 'i', 'I'), 'j', 'J'), 'k', 'K'), 'l', 'L'), 'm', 'M'), 'n', 'N'), 'o', 'O'), 'p', 'P'), 'q', 'Q'), 'r', 'R'), 's', 'S'), 't', 'T'), 'u', 'U'), 'v', 'V'), 'w', 'W'), 'x', 'X'), 'y', 'Y'), 'z', 'Z') || '!' || REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(station, 'A', 'a'), 'B', 'b'), 'C', 'c'), 'D', 'd'), 'E', 'e'), 'F', 'f'), 'G', 'g'), 'H', 'h'), 'I', 'i'), 'J', 'j'), 'K', 'k'), 'L', 'l'), 'M', 'm'), 'N', 'n'), 'O', 'o'), 'P', 'p'), 'Q', 'q'), 'R', 'r'), 'S', 's'), 'T', 't'), 'U', 'u'), 'V', 'v'), 'W', 'w'), 'X', 'x'), 'Y', 'y'), 'Z', 'z') AS `label`,
  SUBSTRING(note, 1, 2) AS part,
  SUBSTRING(note, 3) AS tail,
  CAST(CHAR_LENGTH(note) AS BIGINT) AS letters,
  CAST(CASE WHEN amount >= 10 THEN 'big' WHEN amount < 10 THEN 'small' END AS STRING) AS `size`,
  CASE WHEN REGEXP(note, '^-?[0-9]+\z') THEN TRY_CAST(note AS BIGINT) END AS `number`,
  CASE WHEN REGEXP(note, '^-?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z') AND ABS(TRY_CAST(note AS DOUBLE)) <= 1.7976931348623157E308 THEN TRY_CAST(note AS DOUBLE) END AS `decimal`,
  CASE WHEN `level` >= -9.223372036854775808E18 AND `level` < 9.223372036854775808E18 THEN CAST(`level` AS BIGINT) END AS whole,
  CASE note WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END AS truth,
  CASE WHEN good THEN 'true' WHEN NOT (good) THEN 'false' END AS word,
  CAST(amount AS STRING) AS digits,
  TRY_CAST(CAST(CAST(CASE WHEN amount <> (-9223372036854775807 - 1) THEN ABS(amount) END AS DECIMAL(19, 0)) + CAST(amount AS DECIMAL(19, 0)) AS STRING) AS BIGINT) AS positive,
  FLOOR(`level`) - CEIL(`level`) AS low,
  CAST(COALESCE(note, station) AS STRING) AS known,
  STARTSWITH(note, 'b') AS begins,
  CAST(good AS INT) < CAST(TRUE AS INT) AS less,
  TRY_CAST(CAST(CAST(0 AS DECIMAL(19, 0)) - CAST(amount AS DECIMAL(19, 0)) AS STRING) AS BIGINT) AS negative
FROM derived_derived;

CREATE TEMPORARY VIEW derived_on_time AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, station, reading, amount, `level`, good, note,
  `at`, `sum`, product, ratio, half, rest, scaled, `label`, part, tail, letters, `size`, `number`, `decimal`,
  whole, truth, word, digits, positive, low, known, begins, less, negative
FROM derived_derived_2
WHERE NOT is_late;

CREATE TEMPORARY VIEW derived_counted AS
SELECT
  window_start, window_end, station,
  COUNT(*) AS n,
  MAX(letters) AS most
FROM TABLE(TUMBLE(TABLE derived_on_time, DESCRIPTOR(event_time), INTERVAL '60' SECOND))
GROUP BY window_start, window_end, station;

CREATE TEMPORARY VIEW `derived` AS
SELECT
  window_start, window_end, station, n, most
FROM derived_counted;

-- Dead letters: where the record lies, and why it is not counted.
CREATE TEMPORARY TABLE derived_dead_letters (
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  reason STRING NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.derived.late',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'kafka_partition',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.derived.late',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE derived_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  station STRING,
  result_rows ARRAY<ROW<
    station STRING, n BIGINT, most BIGINT>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.derived',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'station',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.derived',
  'properties.transaction.timeout.ms' = '600000'
);

EXECUTE STATEMENT SET
BEGIN
INSERT INTO derived_dead_letters
SELECT kafka_partition, kafka_offset, 'late' FROM derived_derived_2 WHERE is_late;

INSERT INTO derived_results
SELECT
  window_start, window_end, station, ARRAY_AGG(ROW(
    station, n, most)), 0
FROM `derived`
GROUP BY window_start, window_end, station;
END;
