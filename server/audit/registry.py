"""All attacks by name, cheap ones first. A new one is one line here."""

from collections.abc import Mapping

from server.audit import byzantine, decoding, extraction, inversion, membership, protocol
from server.audit.report import Attack

ATTACKS: Mapping[str, Attack] = {
    "protocol": protocol.run,
    "byzantine": byzantine.run,
    "decoding": decoding.run,
    "membership": membership.run,
    "inversion": inversion.run,
    "extraction": extraction.run,
}
