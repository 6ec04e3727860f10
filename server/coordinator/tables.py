"""Tables of the coordinator's state. Only hashes of secrets are kept; no text of questions or answers ever is."""

from datetime import datetime

from sqlalchemy import DateTime, Float, LargeBinary, String, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Root of the declarative tables."""


class NodeRow(Base):
    """An enrolled node: its id, its Ed25519 public key (32 bytes), and who runs it (empty: known by its own name)."""

    __tablename__ = "nodes"

    node_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    enrolled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    operator: Mapped[str] = mapped_column(String(64), default="")


class TokenRow(Base):
    """A one-time enrollment token, as SHA-256 of its secret."""

    __tablename__ = "enrollment_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    operator: Mapped[str] = mapped_column(String(64), default="")


class KeyRow(Base):
    """An API key, as SHA-256 of its 256 random bits (no dictionary can reach those, so no slow hash is needed)."""

    __tablename__ = "api_keys"

    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    label: Mapped[str] = mapped_column(String(100), unique=True)
    scopes: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AuditRow(Base):
    """One administrative act. `entry_hash` covers the entry and the hash before it, so that a gap shows."""

    __tablename__ = "audit_log"

    entry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[str] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(128))
    entry_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class JobRow(Base):
    """A training job. `state` is queued, running, done, failed or cancelled; `error` says why it failed."""

    __tablename__ = "jobs"

    job_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    settings: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    base_model: Mapped[str] = mapped_column(String(64), default="")
    layout: Mapped[str] = mapped_column(String(64), default="")
    embedder: Mapped[str] = mapped_column(String(128), default="")
    error: Mapped[str] = mapped_column(String(300), default="")
    roster: Mapped[str] = mapped_column(Text, default="")
    """JSON: the round that was begun last, and its nodes."""
    standing_id: Mapped[str] = mapped_column(String(64), default="")
    """Whose run it is; empty for a job of its own."""
    start_version: Mapped[str] = mapped_column(String(80), default="")
    """The version that it starts from; empty for fresh weights."""
    cause: Mapped[str] = mapped_column(String(16), default="")
    """Why a run started: new_examples or drift."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class RoundRow(Base):
    """A committed round: round 0 is the start. `state_sha256` names weights and optimiser state among the blobs."""

    __tablename__ = "rounds"

    job_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    round_num: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state_sha256: Mapped[str] = mapped_column(String(64))
    contributors: Mapped[str] = mapped_column(Text)
    """JSON: node → SHA-256 of its update."""
    remarks: Mapped[str] = mapped_column(Text)
    metrics: Mapped[str] = mapped_column(Text)
    bytes_out: Mapped[int] = mapped_column()
    bytes_in: Mapped[int] = mapped_column()
    seconds: Mapped[float] = mapped_column(Float)


class PromptRow(Base):
    """A version that can go live: an adaptation among the blobs."""

    __tablename__ = "prompts"

    version: Mapped[str] = mapped_column(String(80), primary_key=True)
    parent: Mapped[str] = mapped_column(String(80), default="")
    job_id: Mapped[str] = mapped_column(String(64), default="")
    method: Mapped[str] = mapped_column(String(16))
    place: Mapped[str] = mapped_column(String(16))
    base_model: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    num_bytes: Mapped[int] = mapped_column()
    metrics: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class PromotionRow(Base):
    """What went live, in order; the last is live. An empty version is the model as it is."""

    __tablename__ = "promotions"

    promotion_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    version: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class StandingRow(Base):
    """A job that starts runs by itself. `state` is waiting, paused or cancelled; `run_id` is the run under way."""

    __tablename__ = "standing_jobs"

    standing_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    settings: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    seen: Mapped[str] = mapped_column(Text)
    """JSON: node → examples of the data set at the last run."""
    run_id: Mapped[str] = mapped_column(String(64))
    num_runs: Mapped[int] = mapped_column()
    rested_from: Mapped[float] = mapped_column(Float)
    """When the last run ended, in seconds since 1970; 0 before the first."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DecisionRow(Base):
    """What came of a run: promoted, rolled_back, superseded or failed. `live` was live when it was decided."""

    __tablename__ = "decisions"

    decision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    standing_id: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(String(64), unique=True)
    live: Mapped[str] = mapped_column(String(80))
    decision: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(300))
    cause: Mapped[str] = mapped_column(String(16))
    metrics: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
