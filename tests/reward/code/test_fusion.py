"""The client against a real HTTP server on loopback that answers as the service does (sandbox_api.py at 469de08): it
runs the Python program that it is sent, in a plain process."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reward.code import store
from reward.code.cpp import CompileError
from reward.code.fusion import CppSource, Fusion
from reward.code.jail import JailError, Limits, PythonProgram
from reward.code.reference import Reference
from reward.code.verdict import judge_program

LIMITS = Limits(cpu_seconds=5)
PRODUCT = PythonProgram("a, b = map(int, input().split())\nprint(a * b)")
SUM = "class Solution:\n    def solve(self, xs):\n        return {}\n"


def finished(**result):
    return {"status": "Finished", "execution_time": 0.25, "return_code": 0, "stdout": "", "stderr": ""} | result


def reply(status="Success", run=None, compiled=None):
    return {"status": status, "message": "", "compile_result": compiled, "run_result": run, "files": {}}


def run_python(request):
    command = [sys.executable, "-I", "-c", request["code"]]
    try:
        done = subprocess.run(
            command, input=request["stdin"], capture_output=True, text=True, timeout=request["run_timeout"]
        )
    except subprocess.TimeoutExpired:
        return reply("Failed", {"status": "TimeLimitExceeded", "execution_time": request["run_timeout"]})
    result = finished(return_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    return reply("Failed" if done.returncode else "Success", result)


class Service:
    """`answers` come first: a status code, raw bytes, a reply, or a function of the request. Then it runs Python."""

    def __init__(self):
        self.answers, self.requests = [], []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.requests.append((self.path, request))
                answer = service.answers.pop(0) if service.answers else run_python
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                answer = answer(request) if callable(answer) else answer
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def fusion(service):
    return Fusion(service.url, pause_seconds=0.01)


def test_a_program_is_run_as_the_service_documents(service, fusion):
    run = fusion.run(PRODUCT, b"6 7\n", LIMITS)
    assert (run.ending, run.stdout, run.value, run.retries, run.cpu_seconds) == ("finished", b"42\n", None, 0, 0.25)
    ((path, request),) = service.requests
    assert path == "/run_code"
    assert {key: request[key] for key in request if key != "code"} == {
        "language": "python",
        "stdin": "6 7\n",
        "compile_timeout": 30.0,
        "run_timeout": 5,
        "memory_limit_MB": 1024,
    }


def test_expected_answers_are_never_sent(service, fusion):
    tests = [store.Test("6 7\n", "42\n"), store.Test("123 1001\n", "123123\n")]
    verdict = judge_program(PRODUCT.source, Reference("0" * 64, 2), tests, fusion)
    assert (verdict.status, verdict.tests_passed) == ("correct", 2)
    assert "123123" not in json.dumps(service.requests)


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("print(42)", "finished"),
        ("raise SystemExit(3)", "finished"),
        ("1 / 0", "failed"),
        ("print(", "failed"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "failed"),
        ("raise MemoryError", "memory"),
        ("print('y' * 2 ** 20)", "output"),
    ],
)
def test_how_a_program_ended(fusion, source, ending):
    assert fusion.run(PythonProgram(source), b"", LIMITS).ending == ending


def test_a_program_over_its_time_is_a_verdict_and_not_repeated(service, fusion):
    assert fusion.run(PythonProgram("while True: pass"), b"", Limits(cpu_seconds=0.5)).ending == "wall"
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (SUM.format("sum(xs)"), b"9"),
        (SUM.format("print('noise') or tuple(xs)"), b'{"tuple": [4, 5]}'),
        ("def solve(xs):\n    return {'a': xs}", b'{"dict": [["a", [4, 5]]]}'),
        (SUM.format("exit()"), None),
        (SUM.format("1") + "if __name__ == '__main__':\n    1 / 0", b"1"),
    ],
)
def test_the_value_of_a_function(fusion, source, value):
    run = fusion.run(PythonProgram(source, "solve"), b"[4, 5]", LIMITS)
    assert (run.ending, run.value) == ("finished", value)


def test_a_program_with_the_prelude_has_its_names(fusion):
    run = fusion.run(PythonProgram("print(deque([4]), sqrt(25))", prelude=True), b"", LIMITS)
    assert run.stdout == b"deque([4]) 5.0\n"


def test_a_typed_function_takes_and_returns_pythons_own_types(fusion):
    run = fusion.run(PythonProgram(SUM.format("{*xs, (1,)}"), "solve", typed=True), b'{"set": [4, 5]}', LIMITS)
    assert (run.ending, run.value) == ("finished", b'{"set": [4, 5, {"tuple": [1]}]}')


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (SUM.format("sum(xs)"), "correct"),
        (SUM.format("8"), "wrong"),
        (SUM.format("{*xs}"), "runtime_error"),
        ("class Solution", "parse_error"),
        ("import os\nos.write(1, b'9\\n')\n" + SUM.format("9"), "wrong"),
    ],
)
def test_verdicts_on_functions(fusion, source, status):
    tests = [store.Test("[4, 5]", "9")]
    assert judge_program(source, Reference("0" * 64, 1, "solve"), tests, fusion).status == status


def test_cpp_is_compiled_by_the_service(service, fusion):
    service.answers = [reply("Success", finished(stdout="42\n"), compiled=finished())]
    reference = Reference("0" * 64, 1, language="cpp")
    assert judge_program("int main() {}", reference, [store.Test("6 7\n", "42\n")], fusion).status == "correct"
    assert service.requests[0][1]["language"] == "cpp"
    assert service.requests[0][1]["code"] == "int main() {}"


@pytest.mark.parametrize(
    ("compiled", "message"),
    [
        (finished(return_code=1, stderr="a.cpp:1:1: error: 'x' does not name a type\n"), "does not name a type"),
        ({"status": "TimeLimitExceeded", "execution_time": 30, "return_code": None}, "took too long"),
    ],
)
def test_cpp_that_does_not_compile(service, fusion, compiled, message):
    service.answers = [reply("Failed", None, compiled=compiled)] * 2
    with pytest.raises(CompileError, match=message):
        fusion.run(CppSource("x"), b"", LIMITS)
    tests = [store.Test("", "")]
    assert judge_program("x", Reference("0" * 64, 1, language="cpp"), tests, fusion).status == "parse_error"


OUTAGES = [
    500,
    503,
    429,
    b"",
    b"<html>",
    b"[]",
    b"null",
    {"status": "SandboxError", "message": "no space left"},
    reply("Success", None),
    reply("Failed", {"status": "Error", "stderr": "cannot fork"}),
    {"status": "Success", "run_result": "?"},
]


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_waited_out(service, fusion, outage):
    service.answers = [outage, outage]
    run = fusion.run(PRODUCT, b"6 7\n", LIMITS)
    assert (run.stdout, run.retries) == (b"42\n", 2)
    assert run.waited_seconds > 0


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_that_lasts_is_an_error_and_never_a_verdict(service, fusion, outage):
    service.answers = [outage] * 5
    with pytest.raises(JailError, match="ran nothing in 5 attempts"):
        judge_program(PRODUCT.source, Reference("0" * 64, 1), [store.Test("6 7\n", "42\n")], fusion)
    assert len(service.requests) == 5


def test_a_service_that_is_not_there():
    gone = Service()
    gone.server.server_close()
    with pytest.raises(JailError, match=r"ran nothing in 5 attempts: URLError.*refused"):
        Fusion(gone.url, pause_seconds=0.01).run(PRODUCT, b"6 7\n", LIMITS)


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_request_that_is_refused_is_not_repeated(service, fusion, status):
    service.answers = [status]
    with pytest.raises(JailError, match=f"refuses the request .HTTP {status}"):
        fusion.run(PRODUCT, b"6 7\n", LIMITS)
    assert len(service.requests) == 1


def test_pauses_double(service):
    service.answers = [500] * 3
    begun = time.monotonic()
    Fusion(service.url, pause_seconds=0.1).run(PRODUCT, b"6 7\n", LIMITS)
    assert time.monotonic() - begun > 0.5 * (0.1 + 0.2 + 0.4)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "/run_code", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match="not the address of a Sandbox Fusion service"):
        Fusion(url)
