-- The final rows are those of sightline's own engine. What differs is when they come, and this:
-- - No early results: a window is put out once, when it is final, and seen after the next checkpoint (1s).
-- - No corrections: allowed_lateness above 0s is refused, and dead letters that are offered again count as records
--   that come now.
-- - A window is final when all partitions have passed it: one that gets no records holds back every window. Ticks of
--   idle partitions (idle_after 10s) do not move its watermark here.
-- - Each of the source's tasks reads one partition: scan.parallelism must stay the number of partitions (4), or a
--   watermark is that of several and records are late otherwise.
-- - Names from locations are attached as they are when the job is submitted.
-- - Events are read as JSON: one that is stored as Protobuf ends the job with an error.
-- - Times are UTC: 'table.local-time-zone' must stay as it is.

SET 'pipeline.name' = 'sl.sightline.placed';
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
  'properties.group.id' = 'sl.flink.placed',
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
CREATE TEMPORARY VIEW placed_records AS
SELECT
  location, detection, item, `at`, event_time, arrival, kafka_partition, kafka_offset,
  COALESCE(CURRENT_WATERMARK(event_time) >= TO_TIMESTAMP_LTZ(`at` - MOD(MOD(`at`, 60000) + 60000, 60000) + 59999, 3), FALSE) AS is_late
FROM events;

-- Rows whose key the table lacks stay, without a name.
CREATE TEMPORARY VIEW placed_named AS
SELECT
  l.event_time, l.arrival, l.kafka_partition, l.kafka_offset, l.is_late, l.location, r.place, l.detection,
  l.item, l.`at`
FROM placed_records AS l
LEFT JOIN locations FOR SYSTEM_TIME AS OF l.event_time AS r ON l.location = r.location;

CREATE TEMPORARY VIEW placed_on_time AS
SELECT
  event_time, arrival, kafka_partition, kafka_offset, is_late, location, place, detection, item, `at`
FROM placed_named
WHERE NOT is_late;

CREATE TEMPORARY VIEW placed_counted AS
SELECT
  window_start, window_end, location, place,
  COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE placed_on_time, DESCRIPTOR(event_time), INTERVAL '60' SECOND))
GROUP BY window_start, window_end, location, place;

CREATE TEMPORARY VIEW placed AS
SELECT
  window_start, window_end, location, place, n
FROM placed_counted;

-- Dead letters: where the record lies, and why it is not counted.
CREATE TEMPORARY TABLE placed_dead_letters (
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  reason STRING NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.placed.late',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'kafka_partition',
  'value.format' = 'json',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.placed.late',
  'properties.transaction.timeout.ms' = '600000'
);

-- Results, a message a window and group with all its rows: sightline brings them home.
CREATE TEMPORARY TABLE placed_results (
  window_start TIMESTAMP(3) NOT NULL,
  window_end TIMESTAMP(3) NOT NULL,
  location BIGINT,
  result_rows ARRAY<ROW<
    location BIGINT, place STRING, n BIGINT>>,
  run INT NOT NULL
) WITH (
  'connector' = 'kafka',
  'topic' = 'sl.flink.placed',
  'properties.bootstrap.servers' = 'broker-1:9092,broker-2:9092',
  'key.format' = 'json',
  'key.fields' = 'location',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'sink.delivery-guarantee' = 'exactly-once',
  'sink.transactional-id-prefix' = 'sl.flink.placed',
  'properties.transaction.timeout.ms' = '600000'
);

EXECUTE STATEMENT SET
BEGIN
INSERT INTO placed_dead_letters
SELECT kafka_partition, kafka_offset, 'late' FROM placed_named WHERE is_late;

INSERT INTO placed_results
SELECT
  window_start, window_end, location, ARRAY_AGG(ROW(
    location, place, n)), 0
FROM placed
GROUP BY window_start, window_end, location;
END;
