"""4-bit copies: only of weights that lie on such a grid, and then equal to bfloat16 rounding."""

import pytest
import torch
from torch import Tensor

from prompt_tuning.packed_linear import PackedLinear, make_linear


def on_grid(num_out: int, num_in: int) -> Tensor:
    """Weights as a dequantised Q4_1 file has them: per 32 a minimum and 15 equal steps, in bfloat16."""
    random = torch.Generator().manual_seed(0)
    steps = torch.randint(0, 16, (num_out, num_in // 32, 32), generator=random).float()
    steps[..., 0], steps[..., 1] = 0, 15
    step = torch.rand(num_out, num_in // 32, 1, generator=random) * 0.05 + 0.01
    low = -8 * step * (0.9 + 0.2 * torch.rand(step.shape, generator=random))
    return (low + step * steps).view(num_out, num_in).to(torch.bfloat16)


@pytest.mark.parametrize("num_rows", [1, 3, 12, 13])
def test_packed_equals_exact_to_bfloat16_rounding(num_rows: int) -> None:
    weight = on_grid(64, 96)
    linear = make_linear(weight)
    assert isinstance(linear, PackedLinear)
    inputs = torch.randn(num_rows, 1, 96, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    exact = inputs.double() @ weight.double().T
    error = (linear(inputs).double() - exact).abs().max() / exact.abs().max()
    assert linear(inputs).shape == (num_rows, 1, 64)
    assert error < 0.01


@pytest.mark.parametrize(
    "weight",
    [
        torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16),
        on_grid(64, 96).float(),
        on_grid(64, 96)[:33],
        on_grid(64, 96)[:, :80].contiguous(),
    ],
    ids=["free", "float32", "odd rows", "odd columns"],
)
def test_other_weights_are_left_as_they_are(weight: Tensor) -> None:
    linear = make_linear(weight)
    assert not isinstance(linear, PackedLinear)
    inputs = torch.ones(2, weight.shape[1], dtype=weight.dtype)
    torch.testing.assert_close(linear(inputs), inputs @ weight.T)


def test_a_group_of_equal_weights_is_no_division_by_zero() -> None:
    weight = on_grid(32, 64)
    weight[:, :32] = 0.5
    weight[:, 32:] = 0
    linear = make_linear(weight)
    assert linear(torch.ones(1, 64, dtype=torch.bfloat16)).tolist() == [[16.0] * 32]
