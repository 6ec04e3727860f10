"""The coordinator's durable state behind a handful of verbs. SQLite by default, PostgreSQL by URL; same code."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, event, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from frag.errors import AuthenticationError, ConflictError, NotFoundError, SettingsError
from server.coordinator.tables import AuditRow, KeyRow, NodeRow, TokenRow

TOKEN_LIFETIME = timedelta(hours=1)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator["Database"]:
    """Connects and migrates to the newest schema.

    Raises:
        SettingsError: The database cannot be opened or migrated.
    """
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _make_durable)
    try:
        try:
            async with engine.begin() as connection:
                await connection.run_sync(_migrate)
        except SQLAlchemyError as error:
            raise SettingsError(
                f"The coordinator's database cannot be opened: {error.__class__.__name__}.",
                "Check database_url, its permissions and free disk space.",
            ) from error
        yield Database(engine)
    finally:
        await engine.dispose()


def _make_durable(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # DB-API, untyped in SQLAlchemy's event
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


class Database:
    """Every verb is one transaction, durable when it returns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self, action: str = "", subject: str = "") -> AsyncIterator[AsyncSession]:
        """One transaction; with `action`, one that leaves an audit entry or nothing at all."""
        async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
            yield session
            if action:
                await _append_audit(session, action, subject)

    async def check(self) -> None:
        """Raises SQLAlchemyError when the database does not answer."""
        async with self.transaction() as session:
            await session.execute(select(NodeRow.node_id).limit(1))

    async def add_key(self, label: str, key_hash: bytes, scopes: frozenset[str]) -> None:
        """Raises ConflictError when `label` is taken."""
        row = KeyRow(label=label, key_hash=key_hash, scopes=" ".join(sorted(scopes)))
        try:
            async with self.transaction("key_added", label) as session:
                session.add(row)
        except IntegrityError as error:
            raise ConflictError(f"There is an API key {label!r} already.", "Choose another label.") from error

    async def revoke_key(self, label: str) -> None:
        """Raises NotFoundError when there is no such key in force."""
        async with self.transaction("key_revoked", label) as session:
            found = await session.execute(
                update(KeyRow)
                .where(KeyRow.label == label, KeyRow.revoked_at.is_(None))
                .values(revoked_at=datetime.now(UTC))
                .returning(KeyRow.label)
            )
            if found.first() is None:
                raise NotFoundError(
                    f"There is no API key {label!r} in force.", "`frag coordinator key list` shows them."
                )

    async def key(self, key_hash: bytes) -> tuple[str, frozenset[str]] | None:
        """Label and scopes of the key in force with this hash."""
        async with self.transaction() as session:
            row = await session.get(KeyRow, key_hash)
        return None if row is None or row.revoked_at else (row.label, frozenset(row.scopes.split()))

    async def keys(self) -> Sequence[KeyRow]:
        """All keys, oldest first, also those that are revoked: their labels stay taken."""
        async with self.transaction() as session:
            return (await session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.label))).all()

    async def add_token(self, token_hash: bytes, node_id: str, operator: str = "") -> datetime:
        """Returns when the token expires."""
        expires_at = datetime.now(UTC) + TOKEN_LIFETIME
        async with self.transaction("token_made", node_id) as session:
            session.add(TokenRow(token_hash=token_hash, node_id=node_id, expires_at=expires_at, operator=operator))
        return expires_at

    async def enroll(self, token_hash: bytes, node_id: str, public_key: bytes) -> None:
        """Uses the token up and puts the node on the list, replacing an older key and operator of the same id.

        Raises:
            AuthenticationError: The token is unknown, used, expired, or was made for another node.
        """
        now = datetime.now(UTC)
        async with self.transaction("node_enrolled", node_id) as session:
            used = await session.execute(
                update(TokenRow)
                .where(
                    TokenRow.token_hash == token_hash,
                    TokenRow.node_id == node_id,
                    TokenRow.used_at.is_(None),
                    TokenRow.expires_at > now,
                )
                .values(used_at=now)
                .returning(TokenRow.operator)
            )
            operator = used.scalar_one_or_none()
            if operator is None:
                raise AuthenticationError(
                    "This enrollment token is unknown, used up, expired, or for another node.",
                    "Ask the federation operator for a new one: `frag coordinator token NODE`.",
                )
            row = NodeRow(node_id=node_id, public_key=public_key, enrolled_at=now, revoked_at=None, operator=operator)
            await session.merge(row)

    async def public_key(self, node_id: str) -> bytes | None:
        """Public key of an enrolled, unrevoked node."""
        async with self.transaction() as session:
            row = await session.get(NodeRow, node_id)
        return None if row is None or row.revoked_at else row.public_key

    async def revoke_node(self, node_id: str) -> None:
        """Raises NotFoundError when there is no such node in force."""
        async with self.transaction("node_revoked", node_id) as session:
            found = await session.execute(
                update(NodeRow)
                .where(NodeRow.node_id == node_id, NodeRow.revoked_at.is_(None))
                .values(revoked_at=datetime.now(UTC))
                .returning(NodeRow.node_id)
            )
            if found.first() is None:
                raise NotFoundError(f"There is no enrolled node {node_id!r}.")

    async def node_ids(self) -> list[str]:
        """Ids of all nodes in force, sorted."""
        async with self.transaction() as session:
            rows = await session.scalars(
                select(NodeRow.node_id).where(NodeRow.revoked_at.is_(None)).order_by(NodeRow.node_id)
            )
            return list(rows)

    async def operators(self) -> dict[str, str]:
        """Who runs each node in force; a node without a named operator stands for itself."""
        async with self.transaction() as session:
            rows = await session.execute(select(NodeRow.node_id, NodeRow.operator).where(NodeRow.revoked_at.is_(None)))
            return {node_id: operator or node_id for node_id, operator in rows}

    async def audit_entries(self) -> Sequence[AuditRow]:
        """All entries, oldest first."""
        async with self.transaction() as session:
            return (await session.scalars(select(AuditRow).order_by(AuditRow.entry_id))).all()


async def _append_audit(session: AsyncSession, action: str, subject: str) -> None:
    last = await session.scalar(select(AuditRow).order_by(AuditRow.entry_id.desc()).limit(1))
    at = datetime.now(UTC).isoformat()
    entry_hash = chain_hash(last.entry_hash if last else bytes(32), at, action, subject)
    session.add(AuditRow(at=at, action=action, subject=subject, entry_hash=entry_hash))


def chain_hash(previous: bytes, at: str, action: str, subject: str) -> bytes:
    """SHA-256 over the entry before and this one, 32 bytes."""
    return hashlib.sha256(previous + f"{at}\0{action}\0{subject}".encode()).digest()
