"""Encodings give back what they were given within their rounding, and survive hostile bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.errors import UpdateError
from frag.quantization import Encoding, compress, decode, encode

RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "prompt": RANDOM.standard_normal((20, 576)).astype(np.float32),
    "bias": RANDOM.standard_normal(7).astype(np.float32),
    "zero": np.zeros((3, 2), np.float32),
}


@pytest.mark.parametrize(("encoding", "error"), [(Encoding.FP32, 0), (Encoding.FP16, 2e-3), (Encoding.INT8, 0.02)])
def test_round_trip(encoding: Encoding, error: float) -> None:
    for name, value in decode(encode(WEIGHTS, encoding), WEIGHTS, encoding).items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, WEIGHTS[name], atol=error, rtol=0)


def test_int8_takes_a_quarter() -> None:
    sizes = {encoding: len(encode({"prompt": WEIGHTS["prompt"]}, encoding)) for encoding in Encoding}
    assert sizes[Encoding.INT8] < 0.27 * sizes[Encoding.FP32]
    assert sizes[Encoding.FP32] < 1.01 * WEIGHTS["prompt"].nbytes


def test_int8_hand_computed() -> None:
    value = {"w": np.array([1.27, -0.005, 0.006, -1.27], np.float32)}
    np.testing.assert_allclose(
        decode(encode(value, Encoding.INT8), value, Encoding.INT8)["w"], [1.27, 0.0, 0.01, -1.27], atol=1e-6
    )


def test_what_rounding_loses_arrives_later() -> None:
    """The sum of what was sent follows the sum of what was meant, although one entry is always below one step."""
    step = {"w": np.array([1.0, 0.003], np.float32)}
    residual, arrived = None, np.zeros(2)
    for _ in range(100):
        content, residual = compress(step, residual, Encoding.INT8)
        arrived += decode(content, step, Encoding.INT8)["w"]
    np.testing.assert_allclose(arrived, [100.0, 0.3], atol=0.01)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_other_names_shapes_or_encodings_are_refused(encoding: Encoding) -> None:
    content = encode(WEIGHTS, encoding)
    with pytest.raises(UpdateError):
        decode(content, {"prompt": WEIGHTS["prompt"]}, encoding)
    with pytest.raises(UpdateError):
        decode(content, {**WEIGHTS, "bias": np.zeros(8, np.float32)}, encoding)
    other = Encoding.FP16 if encoding is not Encoding.FP16 else Encoding.FP32
    with pytest.raises(UpdateError):
        decode(content, WEIGHTS, other)


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(Encoding), st.integers(0, 300))
def test_hostile_bytes_are_refused(noise: bytes, encoding: Encoding, at: int) -> None:
    whole = bytearray(encode({"bias": WEIGHTS["bias"]}, encoding))
    whole[at : at + len(noise)] = noise
    for content in (noise, bytes(whole)):
        try:
            decoded = decode(content, {"bias": WEIGHTS["bias"]}, encoding)
        except UpdateError:
            continue
        assert np.isfinite(decoded["bias"]).all()
