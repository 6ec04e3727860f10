"""All attacks by name, cheap ones first. A new one is one line here."""

from collections.abc import Mapping

from server.audit import (
    byzantine,
    decoding,
    extraction,
    injection,
    inversion,
    membership,
    poison,
    protocol,
    routing,
    training,
)
from server.audit.report import Attack

ATTACKS: Mapping[str, Attack] = {
    "protocol": protocol.run,
    "byzantine": byzantine.run,
    "routing": routing.run,
    "decoding": decoding.run,
    "training": training.run,
    "membership": membership.run,
    "inversion": inversion.run,
    "poison": poison.run,
    "injection": injection.run,
    "extraction": extraction.run,
}
