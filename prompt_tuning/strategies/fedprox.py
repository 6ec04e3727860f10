"""FedAvg with a proximal term at the nodes. Source: Li et al. 2020, "Federated Optimization in Heterogeneous
Networks".
"""

from dataclasses import dataclass

from prompt_tuning.strategies.fedavg import FedAvg


@dataclass(frozen=True, slots=True, kw_only=True)
class FedProx(FedAvg):
    """Nodes add μ/2 ‖w − w_t‖² to their loss (eq. 2)."""

    proximal_mu: float = 0.01
