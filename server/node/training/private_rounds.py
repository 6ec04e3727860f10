"""A node's side of record-level privacy: what is reserved before the first step, and one draw a round, ever.

A draw is decided by a key of the operating system, which is durable before the first step and forgotten once the
update is kept. So a round that was interrupted is repeated to the same update: drawing again would be a second look at
the examples that nobody has paid for. Blocking.
"""

import secrets
from contextlib import closing
from pathlib import Path

import msgspec

from frag.durable import write_private
from frag.errors import ForbiddenError
from frag.privacy.draws import KEY_BYTES
from frag.privacy.ledger import Ledger
from prompt_tuning.job import JobSettings
from prompt_tuning.private_training import planned_epsilon
from server.wire.messages import Train


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a job costs here. `charge_id` is new with every folder: who lost what was sent, has to pay again."""

    charge_id: str
    num_units: int
    epsilon: float
    delta: float


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A round that has been drawn, from which weights, and by which key in hex; no key once its update is kept."""

    weights_sha256: str
    key: str


class PrivateRounds:
    """Reserves plans in the ledger, up to ε = `limit` for all jobs on a data set, and keeps the keys of rounds.

    Args:
        ledger: Its file.
        limit: Of the node's policy.
    """

    def __init__(self, ledger: Path, limit: float) -> None:
        self._ledger = ledger
        self._limit = limit

    def reserve(self, request: Train, job: JobSettings, job_folder: Path, num_units: int) -> Plan:
        """Charges all R · E steps of the job at once; durable when it returns, and the same job again changes nothing.

        Args:
            request: Any round of the job.
            job: Its settings.
            job_folder: Where its files are.
            num_units: Of the data set, when the job began here.

        Raises:
            LedgerError: The plan is over the budget of the job or of this node, or could not be charged.
            ForbiddenError: The round is not of the plan.
        """
        if not 0 <= request.round_num < job.rounds.number:
            raise ForbiddenError(f"Round {request.round_num} is not among the {job.rounds.number} that are paid for.")
        file = job_folder / "plan.json"
        if not file.is_file():
            epsilon, delta = planned_epsilon(job, num_units), getattr(job.privacy, "delta", 0.0)
            plan = Plan(charge_id=secrets.token_hex(8), num_units=num_units, epsilon=epsilon, delta=delta)
            write_private(file, msgspec.json.encode(plan))
        plan = msgspec.json.decode(file.read_bytes(), type=Plan)
        with closing(Ledger.open(self._ledger)) as ledger:
            charge = f"{request.job_id}#{plan.charge_id}"
            ledger.reserve_training(charge, job.dataset, plan.epsilon, plan.delta, self._limit)
        return plan

    def key(self, request: Train, job_folder: Path) -> str:
        """The key of a round's draws, the same whenever the round is asked for; durable when it returns.

        Raises:
            ForbiddenError: The round was drawn from other weights, or its update has been kept and is no more.
        """
        file = _file(job_folder, request)
        if not file.is_file():
            begun = Begun(weights_sha256=request.weights_sha256, key=secrets.token_hex(KEY_BYTES))
            write_private(file, msgspec.json.encode(begun))
        begun = msgspec.json.decode(file.read_bytes(), type=Begun)
        if begun.weights_sha256 != request.weights_sha256:
            raise ForbiddenError(f"Round {request.round_num} was trained from other weights; it is trained once.")
        if not begun.key:
            raise ForbiddenError(f"The update of round {request.round_num} is no longer here; it is trained once.")
        return begun.key

    def forget_key(self, request: Train, job_folder: Path) -> None:
        """With the key the noise could be taken off again. The update must be durable before."""
        begun = Begun(weights_sha256=request.weights_sha256, key="")
        write_private(_file(job_folder, request), msgspec.json.encode(begun))


def _file(job_folder: Path, request: Train) -> Path:
    return job_folder / f"begun-{request.round_num}.json"
