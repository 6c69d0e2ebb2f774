from reward import DOMAINS, status_rates, warnings_for


def test_rates_of_every_status_and_of_replaced_workers():
    rows = [{"status": "correct", "workers_replaced": 0.0}] * 6 + [{"status": "timeout", "workers_replaced": 1.0}] * 2
    assert status_rates(rows) == {
        "status/correct": 0.75,
        "status/wrong": 0.0,
        "status/no_answer": 0.0,
        "status/parse_error": 0.0,
        "status/timeout": 0.25,
        "status/runtime_error": 0.0,
        "workers_replaced": 0.25,
    }
    assert status_rates([]) == {}


def test_a_warning_names_the_status_and_the_rate():
    (line,) = warnings_for({"status/timeout": 0.25, "status/parse_error": 0.01}, DOMAINS["math"])
    assert line.startswith("reward: 25.0% of the answers ended as timeout (limit 2%)")
    assert warnings_for({"status/timeout": 0.0, "status/parse_error": 0.2}, DOMAINS["math"]) == []
