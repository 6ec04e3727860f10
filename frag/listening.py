"""Settings of what listens on an address: certificates, and the node's own page and API."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSettings(_Strict):
    """Certificate of this server, PEM. `accepted_spki_sha256` adds front proxies that end TLS."""

    certificate: Path = Field(description="PEM file; relative to the settings file")
    private_key: Path = Field(description="PEM file of its key")
    accepted_spki_sha256: tuple[str, ...] = Field((), description="SHA-256 of the public keys of front proxies, hex")


class LocalSettings(_Strict):
    """The node's own page and API, for its operator alone: protected by the token in `local.token`."""

    enabled: bool = Field(default=True, description="whether the page and API are served")
    host: str = Field("127.0.0.1", description="address to bind; other than loopback needs [local.tls]")
    port: int = Field(0, ge=0, le=65535, description="0: a free one, which `frag node status` names")
    names: tuple[str, ...] = Field(
        (), description="host names that it may be called by, beside addresses and localhost"
    )
    tls: TlsSettings | None = None
    journal_days: int = Field(400, ge=1, le=36_500, description="how long entries of the release journal are kept")

    @model_validator(mode="after")
    def _check(self) -> "LocalSettings":
        if self.host not in LOOPBACK_HOSTS and self.tls is None:
            raise ValueError(f"host {self.host} is not loopback and needs [local.tls] with certificate and private_key")
        return self
