"""Both ways of attending are one function."""

import torch

from prompt_tuning.attention import attend


def test_with_and_without_gradients_alike_and_masked_keys_count_for_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(2, 3, n, 8, generator=generator) for n in (4, 10, 10))
    mask = torch.zeros(2, 1, 4, 10)
    mask[..., 7:] = torch.finfo(torch.float32).min
    with torch.enable_grad():
        explicit = attend(queries.requires_grad_(), keys, values, mask)
    with torch.no_grad():
        fused = attend(queries, keys, values, mask)
        torch.testing.assert_close(explicit.detach(), fused)
        torch.testing.assert_close(attend(queries, keys[:, :, :7], values[:, :, :7], mask[..., :7]), fused)


def test_gradients_are_those_of_the_fused_kernel() -> None:
    generator = torch.Generator().manual_seed(1)
    first = [torch.randn(2, 3, n, 8, generator=generator).requires_grad_() for n in (4, 10, 10)]
    second = [tensor.detach().clone().requires_grad_() for tensor in first]
    mask = torch.zeros(2, 1, 4, 10)
    torch.autograd.backward(attend(*first, mask).square().sum())
    fused = torch.nn.functional.scaled_dot_product_attention(*second, attn_mask=mask)
    torch.autograd.backward(fused.square().sum())
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
