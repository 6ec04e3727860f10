"""The coordinator's folder, database and port."""

import asyncio
import socket
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from frag.errors import FragError
from frag.settings import CoordinatorSettings
from server.coordinator import migrations
from server.coordinator.folder import CoordinatorFolder
from server.doctor.files import certificate, key_permissions, model_checks
from server.doctor.finding import Check, UnwellError
from server.doctor.network import is_frag


def coordinator_checks(folder: CoordinatorFolder, *, verify: bool) -> list[Check]:
    """Everything that can be looked at; without settings only the files."""
    keys = [folder.identity_key, folder.folder / "log.key", folder.folder / "alias.key"]
    checks = [Check("settings", lambda: _settings(folder)), Check("key files", lambda: key_permissions(keys))]
    try:
        settings = folder.settings()
    except FragError:
        return checks
    checks += [
        Check("identity", lambda: _identity(folder)),
        Check("database", lambda: database(folder.database_url(settings))),
        Check("port", lambda: port(settings)),
    ]
    if (tls := settings.tls) is not None:
        checks.append(Check("certificate", lambda: certificate(tls)))
    if (corpus := settings.public_corpus) is not None:
        checks.append(Check("public corpus", lambda: _corpus(corpus)))
    return checks + model_checks(settings.models, verify=verify)


def _settings(folder: CoordinatorFolder) -> str:
    folder.settings()
    return str(folder.settings_file)


def _identity(folder: CoordinatorFolder) -> str:
    folder.key()
    for name in ("log", "alias"):
        folder.secret(name)
    return "keys load"


def database(url: str) -> str:
    """Looks, and changes nothing. Raises UnwellError when it does not open or has another schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    script = ScriptDirectory.from_config(config)
    if url.startswith("sqlite") and not Path(url.partition(":///")[2]).is_file():
        raise UnwellError("There is no database yet.", "Run `frag coordinator init`, or restore it from a backup.")
    return _compared(asyncio.run(_current(url)), script)


async def _current(url: str) -> str | None:
    engine = create_async_engine(url)
    try:
        async with asyncio.timeout(10), engine.connect() as connection:
            return await connection.run_sync(_revision)
    except (SQLAlchemyError, TimeoutError) as error:
        raise UnwellError(
            f"The database cannot be read: {type(error).__name__}.",
            "Check database_url, its permissions and free disk space; restore a backup if the file is damaged.",
        ) from error
    finally:
        await engine.dispose()


def _compared(current: str | None, script: ScriptDirectory) -> str:
    newest = script.get_current_head()
    if current == newest:
        return f"schema {current}"
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise UnwellError(f"The database is of a newer frag ({current}).", "Install that frag, or a newer one.")
    raise UnwellError(
        f"The database has schema {current}, and this frag uses {newest}.",
        "Back it up, then start the coordinator: it brings the schema up to date.",
    )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def port(settings: CoordinatorSettings) -> str:
    """Raises UnwellError when another program holds the port."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            scheme = "https" if settings.tls else "http"
            if asyncio.run(is_frag(f"{scheme}://{settings.host}:{settings.port}")):
                return f"{settings.port}: frag runs"
            raise UnwellError(
                f"{settings.host}:{settings.port} cannot be bound: {error.strerror}.",
                "Stop the program that holds it, or change host and port in coordinator.toml.",
            ) from error
    return f"{settings.port}: free"


def _corpus(folder: Path) -> str:
    if not folder.is_dir():
        raise UnwellError(f"The folder {folder} does not exist.", "Make it, or mend public_corpus in coordinator.toml.")
    return str(folder)
