"""Encodings give back what they were given within their rounding, and survive hostile bytes."""

import json

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
    "transposed": RANDOM.standard_normal((4, 5)).astype(np.float32).T,
    "scalar": np.array(0.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
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


def test_fp16_saturates_and_the_rest_arrives_later() -> None:
    value = {"w": np.array([100_000.0, -1e38, 1.0], np.float32)}
    content, residual = compress(value, None, Encoding.FP16)
    np.testing.assert_array_equal(decode(content, value, Encoding.FP16)["w"], [65504.0, -65504.0, 1.0])
    assert residual["w"][0] == 100_000 - 65504


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_not_sent(encoding: Encoding, number: float) -> None:
    with pytest.raises(UpdateError, match="not finite"):
        encode({"w": np.array([number, 1], np.float32)}, encoding)


def test_subnormal_numbers_keep_their_sign() -> None:
    value = {"w": np.array([2e-43, -2e-43], np.float32)}
    decoded = decode(encode(value, Encoding.INT8), value, Encoding.INT8)["w"]
    np.testing.assert_array_equal(np.sign(decoded), [1, -1])


@pytest.mark.parametrize("scale", [3e38, np.inf, np.nan, -1.0])
@pytest.mark.parametrize("step", [0, 127])
def test_hostile_scales_are_refused_without_a_warning(scale: float, step: int) -> None:
    from safetensors.numpy import save

    content = save({"w": np.full(3, step, np.int8), "w/scales": np.array([scale], np.float32)})
    try:
        decoded = decode(content, {"w": np.zeros(3, np.float32)}, Encoding.INT8)
    except UpdateError:
        return
    assert (scale, step) == (3e38, 0)
    assert not decoded["w"].any()


DTYPES = ["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I16", "BF16", "F16", "F32", "I64", "F64", "C64"]
SIZES = st.one_of(st.integers(0, 30), st.sampled_from([2**31, 2**63, 2**64 - 1]))


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["bias", "bias/scales", "other"]),
        st.tuples(st.sampled_from(DTYPES), st.lists(SIZES, max_size=3), SIZES, SIZES),
        max_size=3,
    ),
    st.binary(max_size=60),
    st.sampled_from(Encoding),
)
def test_well_formed_headers_that_lie_are_refused(entries: dict, body: bytes, encoding: Encoding) -> None:
    header = json.dumps({n: {"dtype": d, "shape": s, "data_offsets": [a, b]} for n, (d, s, a, b) in entries.items()})
    content = len(header).to_bytes(8, "little") + header.encode() + body
    try:
        decoded = decode(content, {"bias": WEIGHTS["bias"]}, encoding)
    except UpdateError:
        return
    assert decoded["bias"].shape == (7,)
    assert np.isfinite(decoded["bias"]).all()


@settings(max_examples=50)
@given(
    st.lists(st.floats(-60000, 60000, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30), min_size=1, max_size=40),
    st.sampled_from(Encoding),
)
def test_an_error_is_at_most_half_a_step(numbers: list[float], encoding: Encoding) -> None:
    value = {"w": np.array(numbers, np.float32)}
    largest = float(np.abs(value["w"]).max())
    half_a_step = {Encoding.FP32: 0.0, Encoding.FP16: largest / 2**11 + 2**-25, Encoding.INT8: largest / 127 / 2}
    error = np.abs(decode(encode(value, encoding), value, encoding)["w"].astype(float) - value["w"])
    assert error.max() <= half_a_step[encoding] * (1 + 1e-4)


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
