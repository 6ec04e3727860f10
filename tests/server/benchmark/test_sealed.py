"""The figures are of what they say."""

from server.benchmark.sealed import measure_sealed


def test_an_envelope_is_padded_and_its_steps_take_time() -> None:
    report = measure_sealed(question_chars=80, runs=3)
    assert report.envelope_bytes == 512 + 48
    assert report.open_message_bytes > 80
    assert min(report.seal_us, report.open_us, report.key_us) > 0
