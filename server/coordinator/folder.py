"""The coordinator's folder: `coordinator.toml`, its identity, its database, the key of its log hashes."""

import ssl
from pathlib import Path

import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.durable import write_atomic, write_private
from frag.errors import ConflictError, SettingsError
from frag.settings import CoordinatorSettings, load_settings
from server.wire import identity


class CoordinatorFolder:
    """Names every file of one coordinator. Nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings_file(self) -> Path:
        return self.folder / "coordinator.toml"

    @property
    def identity_key(self) -> Path:
        return self.folder / "identity.key"

    @property
    def public_index(self) -> Path:
        return self.folder / "public-index"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def datasets(self) -> Path:
        """Public examples, for the public-data phase of jobs."""
        return self.folder / "datasets"

    @property
    def training(self) -> Path:
        """What the public-data phase keeps between passes."""
        return self.folder / "training"

    @property
    def lexicon(self) -> Path:
        """Vectors of public words, for keywords; made anew when it is missing."""
        return self.folder / "lexicon"

    def create(self, host: str, port: int) -> None:
        """Makes settings and keys. Raises ConflictError when there is a coordinator here already."""
        if self.settings_file.exists():
            raise ConflictError(f"{self.folder} holds a coordinator already.", "Use another folder (--folder).")
        self.folder.mkdir(parents=True, exist_ok=True)
        identity.make_key(self.identity_key)
        write_private(self.folder / "log.key", identity.new_nonce())
        write_private(self.folder / "alias.key", identity.new_nonce())
        write_atomic(self.settings_file, tomli_w.dumps({"host": host, "port": port}).encode())

    def settings(self) -> CoordinatorSettings:
        """Raises SettingsError when `coordinator.toml` is missing or wrong."""
        return load_settings(CoordinatorSettings, self.settings_file)

    def key(self) -> Ed25519PrivateKey:
        """Raises SettingsError when it cannot be read."""
        return identity.load_key(self.identity_key, "Restore it from a backup, or run `frag coordinator init`.")

    def secret(self, name: str) -> bytes:
        """A 32-byte secret of this coordinator: `log` or `alias`."""
        try:
            return (self.folder / f"{name}.key").read_bytes()
        except OSError as error:
            raise SettingsError(f"{self.folder / name}.key cannot be read.", "Restore it.") from error

    def database_url(self, settings: CoordinatorSettings) -> str:
        """SQLAlchemy URL: the settings' own, or SQLite in this folder."""
        return settings.database_url or f"sqlite+aiosqlite:///{(self.folder / 'coordinator.db').resolve()}"


def accepted_spki(settings: CoordinatorSettings) -> frozenset[bytes]:
    """Certificate hashes that a node may have verified: ours, front proxies', or zeros without TLS."""
    if settings.tls is None:
        return frozenset({identity.NO_TLS_SPKI})
    own = identity.spki_of_pem_file(settings.tls.certificate)
    try:
        return frozenset({own, *map(bytes.fromhex, settings.tls.accepted_spki_sha256)})
    except ValueError as error:
        raise SettingsError("tls.accepted_spki_sha256 holds a value that is not hex.", "Mend it.") from error


def server_tls(settings: CoordinatorSettings) -> ssl.SSLContext | None:
    """TLS 1.3 with the certificate of the settings. Raises SettingsError when it does not load."""
    if settings.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(settings.tls.certificate, settings.tls.private_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"The TLS certificate {settings.tls.certificate} or its key cannot be loaded: {error}.",
            "Give PEM files that belong together.",
        ) from error
    return context
