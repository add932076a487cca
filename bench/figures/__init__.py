"""The figures, by section."""
from .bounded import DUCKDB, LIMIT
from .from_log import FLINK_SECTION
from .second_pipeline import SECOND

SECTIONS = {section.figure["name"]: section for section in (LIMIT, DUCKDB, FLINK_SECTION, SECOND)}
