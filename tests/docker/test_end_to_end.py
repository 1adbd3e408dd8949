"""The path that users take: HTTP in, a real container, the program's output out."""

from __future__ import annotations

import re

import pytest

from tests.docker.conftest import eventually

SUM = {
    "python": "print(sum(map(int, input().split())))",
    "node": "process.stdin.on('data', d => console.log(String(d).trim().split(' ').reduce((a, b) => a + +b, 0)))",
    "go": 'package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }',
}


@pytest.mark.parametrize("language", SUM)
def test_a_run_returns_what_the_program_printed(live, language):
    answer = live.run(language, SUM[language], stdin="2 40\n")
    assert (answer["stdout"], answer["stderr"], answer["output"]) == ("42\n", "", "42\n")
    assert (answer["status"], answer["exit_code"], answer["signal"], answer["error"]) == ("succeeded", 0, None, None)
    assert re.fullmatch(r"run_[0-9a-f]+", answer["run_id"])
    assert re.fullmatch(r"sb_[0-9a-f]{32}", answer["sandbox_id"])


@pytest.mark.parametrize("language", SUM)
def test_every_run_has_a_container_of_its_own_which_is_then_gone(live, language):
    ids = {live.run(language, SUM[language], stdin="1 1\n")["sandbox_id"] for _ in range(3)}
    assert len(ids) == 3
    eventually(lambda: not ids & live.containers().keys(), "the used sandboxes' containers are removed")


def test_nothing_of_one_run_is_there_for_the_next(live):
    leave = "import os\nfor d in ('/workspace', '/tmp', '/dev/shm'): open(d + '/canary', 'w').write('x')"
    assert live.run("python", leave)["status"] == "succeeded"
    look = "import os\nprint([d for d in ('/workspace', '/tmp', '/dev/shm') if os.path.exists(d + '/canary')])"
    assert live.run("python", look)["stdout"] == "[]\n"


def test_files_lie_beside_the_program(live):
    files = [
        {"path": "pkg/part.py", "content": "VALUE = 7"},
        {"path": "raw.bin", "content": "AP8=", "encoding": "base64"},
    ]
    answer = live.run("python", "from pkg.part import VALUE\nprint(VALUE, open('raw.bin', 'rb').read())", files=files)
    assert answer["output"] == "7 b'\\x00\\xff'\n"


def test_a_session_keeps_files_and_not_the_interpreter(live):
    with live.client() as client:
        made = client.post("/v1/sandboxes", json={"language": "python", "env": {"WHO": "me"}, "metadata": {"a": "b"}})
        assert made.status_code == 201
        sandbox = made.json()
        at = f"/v1/sandboxes/{sandbox['id']}"
        assert made.headers["location"] == at
        assert (sandbox["status"], sandbox["metadata"]) == ("ready", {"a": "b"})

        def exec_(**request: object) -> dict:
            answer = client.post(f"{at}/exec", json=request)
            assert answer.status_code == 200, answer.text
            return answer.json()

        first = exec_(code="import os\nx = 1\nopen('kept', 'w').write(os.environ['WHO'])\nprint(os.getcwd())")
        assert (first["stdout"], first["sandbox_id"]) == ("/workspace\n", sandbox["id"])
        assert exec_(code="print(open('kept').read(), 'x' in globals())")["stdout"] == "me False\n"
        assert exec_(command="cat kept; echo err >&2; exit 3")["exit_code"] == 3
        assert exec_(argv=["/bin/echo", "a b", "$HOME"])["stdout"] == "a b $HOME\n"
        assert exec_(argv=["no-such-program"])["exit_code"] == 127
        assert exec_(command="mkdir sub; pwd", cwd="/workspace")["stdout"] == "/workspace\n"
        for cwd in ("sub", "sub/", "/workspace/sub"):
            assert exec_(command="pwd", cwd=cwd)["stdout"] == "/workspace/sub\n"
        assert client.get(at).json()["id"] == sandbox["id"]
        assert sandbox["id"] in [one["id"] for one in client.get("/v1/sandboxes").json()["sandboxes"]]
        assert client.delete(at).status_code == 204
        assert client.delete(at).status_code == 204
        gone = client.get(at)
        assert (gone.status_code, gone.json()["code"], gone.json()["reason"]) == (410, "sandbox_gone", "deleted")
    eventually(lambda: sandbox["id"] not in live.containers(), "the deleted sandbox's container is removed")


@pytest.mark.parametrize("language", SUM)
def test_a_sandbox_runs_one_program_after_the_other(live, language):
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": language}).json()
        for number in range(3):
            answer = client.post(
                f"/v1/sandboxes/{sandbox['id']}/exec", json={"code": SUM[language], "stdin": f"{number} 1\n"}
            ).json()
            assert answer["output"] == f"{number + 1}\n"
        client.delete(f"/v1/sandboxes/{sandbox['id']}")


def test_pools_and_readiness_speak_of_the_real_engine(live):
    with live.client() as client:
        pools = {pool["template"]: pool for pool in client.get("/v1/pools").json()["pools"]}
        assert set(pools) == {"python", "node", "go"}
        for pool in pools.values():
            assert pool["engine"].startswith("docker ")
            assert pool["image"].startswith("sha256:")
            assert pool["freezer"] in ("cgroup v1", "cgroup v2", "docker pause")
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        text = client.get("/metrics").text
    for name in ("petri_pool_sandboxes", "petri_leases_total", "petri_thaw_seconds_count", "petri_boot_seconds_count"):
        assert f"{name}{{" in text, name


def test_ready_sandboxes_are_frozen_and_leased_ones_are_not(live):
    live.wait_until_full()
    if not live.pools()["python"]["freezer"].startswith("cgroup"):
        pytest.skip("this engine freezes by its own pause, which `docker ps` shows")
    from pool.cgroup import Cgroup, Hierarchy

    def state(container: str) -> str:
        pid = live.engine.api.inspect_container(container)["State"]["Pid"]
        group = Cgroup.of_container(container, pid, Hierarchy.of_this_host())
        if group.freezer is not None:
            return (group.freezer / "freezer.state").read_text().strip()
        assert group.unified is not None
        return "FROZEN" if "frozen 1" in (group.unified / "cgroup.events").read_text() else "THAWED"

    assert {state(container) for container in live.containers().values()} == {"FROZEN"}
    with live.client() as client:
        sandbox = client.post("/v1/sandboxes", json={"language": "python"}).json()
        assert state(live.containers()[sandbox["id"]]) == "THAWED"
        client.delete(f"/v1/sandboxes/{sandbox['id']}")
