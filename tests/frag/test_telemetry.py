"""Log lines as a process writes them; in a process of its own, since the format is one for the whole process."""

import json
import subprocess
import sys

_PROGRAM = """
import logging, structlog
from frag.telemetry_settings import TelemetrySettings
from frag.telemetry import configure_logging
configure_logging(TelemetrySettings(log_format={log_format!r}, log_level={log_level!r}))
with structlog.contextvars.bound_contextvars(request_id="r1", trace_id="t1"):
    structlog.get_logger().info("query", answered=2)
    structlog.get_logger().warning("slow")
    try:
        raise ValueError("quotes the passage")
    except ValueError:
        logging.getLogger("some.library").exception("failed on the passage %s", "the passage")
"""


def written(log_format: str, log_level: str) -> str:
    program = _PROGRAM.format(log_format=log_format, log_level=log_level)
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stderr


def test_each_line_is_one_object_with_its_request_and_trace() -> None:
    lines = [json.loads(line) for line in written("json", "info").splitlines()]
    assert [line["event"] for line in lines] == ["query", "slow", "library"]
    assert all(line["request_id"] == "r1" and line["trace_id"] == "t1" and line["timestamp"] for line in lines)
    assert lines[2]["logger"] == "some.library"
    assert lines[2]["error"] == "ValueError"
    assert "passage" not in str(lines)


def test_lines_for_reading_and_a_level() -> None:
    text = written("console", "warning")
    assert "slow" in text
    assert "query" not in text
    assert not text.startswith("{")
    assert "passage" not in text
