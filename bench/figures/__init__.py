"""The figures, by section."""
from .append import APPEND
from .bounded import DUCKDB, LIMIT
from .cluster import KAFKA_LATENCY, TAKEOVER
from .counting import SLIDING
from .dedupe import DEDUPE
from .final_rows import KAFKA_FINAL
from .from_kafka import KAFKA_FLINK
from .from_log import FLINK_SECTION
from .kafka_read import KAFKA_READ
from .live import CLIENTS_SECTION, LATENCY
from .objects import S3, S3_BOTO3
from .postgres import POSTGRES
from .restart import RESTART
from .second_pipeline import SECOND

SECTIONS = {section.figure["name"]: section
            for section in (LIMIT, DUCKDB, FLINK_SECTION, SECOND, SLIDING, DEDUPE, LATENCY, APPEND, RESTART, CLIENTS_SECTION, S3,
                            S3_BOTO3, KAFKA_READ, KAFKA_FLINK, KAFKA_LATENCY, KAFKA_FINAL, TAKEOVER, POSTGRES)}
