"""`[telemetry]` of the settings files: logs, metrics and traces."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TelemetrySettings(BaseModel):
    """What the process tells those who run it. Never text of questions, passages or answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_format: Literal["json", "console"] = Field("json", description="one JSON object a line, or for reading")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least serious line written")
    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^\s]+)?$",
        description="OTLP/HTTP collector, such as http://127.0.0.1:4318; empty: no traces",
    )


class NodeTelemetrySettings(TelemetrySettings):
    """`[telemetry]` of a node. Its metrics tell of documents and budgets: they are the operator's own."""

    metrics_port: int = Field(0, ge=0, le=65535, description="loopback port of `/metrics`; 0: none")


class CoordinatorTelemetrySettings(TelemetrySettings):
    """`[telemetry]` of the coordinator."""

    metrics: Literal["key", "open", "off"] = Field(
        "key", description="`/metrics` for API keys of scope `metrics` or `admin`, for everybody, or for nobody"
    )
