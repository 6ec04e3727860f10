"""The benchmark of secure aggregation is of real sums."""

from server.benchmark.secagg import measure_secagg


def test_a_small_sum_is_exact_and_its_costs_add_up() -> None:
    report = measure_secagg(6, 500, 0.17)
    assert report.is_exact
    assert report.dropped == 1
    assert report.client_cpu_ms > 0
    assert report.upload_bytes > 4 * 500
