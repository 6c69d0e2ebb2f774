from vcore_verl.evaluation.job import Sampling
from vcore_verl.evaluation.prompts import Prompt
from vcore_verl.evaluation.responses import Response, drop_partial_line, file_of, read_all, requests


def response(idx):
    return Response("test", "p0", "sample", idx, 7, "1+1=?", "line\nbreak é \\boxed{2}", "stop", 5)


def test_responses_survive_the_file(tmp_path):
    file_of(tmp_path, 1).write_text(response(0).to_line() + response(1).to_line())
    assert read_all(tmp_path) == [response(0), response(1)]


def test_a_half_written_line_is_no_response_until_it_is_whole(tmp_path):
    path = file_of(tmp_path, 0)
    line = response(1).to_line()
    path.write_text(response(0).to_line() + line[:20])
    assert read_all(tmp_path) == [response(0)]
    with path.open("a") as file:
        file.write(line[20:])
    assert read_all(tmp_path) == [response(0), response(1)]


def test_a_killed_workers_half_line_is_cut_off(tmp_path):
    path = file_of(tmp_path, 0)
    path.write_text(response(0).to_line() + '{"dataset": "te')
    drop_partial_line(path)
    assert path.read_text() == response(0).to_line()


def test_requests_are_one_greedy_and_n_samples_of_every_prompt():
    prompts = [Prompt("test", name, "s", [], "1", {}) for name in ("a", "b")]
    planned = requests(prompts, Sampling(2, 1.0, 1.0, 16, 42, greedy=True))
    assert [request.key[1:] for request in planned] == [
        ("a", "greedy", 0),
        ("a", "sample", 0),
        ("a", "sample", 1),
        ("b", "greedy", 0),
        ("b", "sample", 0),
        ("b", "sample", 1),
    ]
    assert len({request.seed for request in planned if request.decoding == "sample"}) == 4
