"""The programs that are run everywhere: one line each that prints 1, and the same as `docker run` and `docker exec`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.http_client import Answer, HttpClient, Wrong, encoded
from benchmarks.load import Send

LANGUAGES = ("python", "node", "go")
CODE = {
    "python": "print(1)",
    "node": "console.log(1)",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(1) }\n',
}
OUTPUT = "1\n"
#: What somebody without Petri would type. Go: compile and run, with the build cache that lies in the image.
ARGV = {
    "python": ["python3", "-c", CODE["python"]],
    "node": ["node", "-e", CODE["node"]],
    "go": ["sh", "-c", f"cat > main.go <<'EOF'\n{CODE['go']}EOF\ngo run main.go"],
}
#: Without a network and without a log, as Petri's sandboxes are.
DOCKER_OPTIONS = ["--network", "none", "--log-driver", "none", "--tmpfs", "/tmp:exec", "--tmpfs", "/workspace:exec"]


def docker_run(language: str) -> list[str]:
    entrypoint, *rest = ARGV[language]
    options = [*DOCKER_OPTIONS, "--read-only", "--entrypoint", entrypoint]
    return ["docker", "run", "--rm", *options, f"petri/{language}", *rest]


def one_shots(url: str, language: str, note: Callable[[Answer], None] = lambda answer: None) -> Callable[[], Send]:
    """Makes clients that send `POST /v1/run`; the first connection is there before the clock runs."""
    request = encoded("POST", "/v1/run", {"language": language, "code": CODE[language]})

    def connect() -> Send:
        client = HttpClient(url)
        client.request("GET", "/healthz")

        def send() -> Callable[[], None]:
            answer = client.send(request)

            def judge() -> None:
                demand(answer)
                note(answer)

            return judge

        return send

    return connect


def demand(answer: Answer) -> None:
    """That it is a 200 and the program said 1."""
    if answer.status != 200:
        raise Wrong(f"{answer.status} {answer.json().get('code', answer.body[:200])}")
    run = answer.json()
    if run["stdout"] != OUTPUT or run["exit_code"] != 0:
        raise Wrong(f"{run['status']}: {run['stdout'][:80]!r} {run['stderr'][:200]!r}")
