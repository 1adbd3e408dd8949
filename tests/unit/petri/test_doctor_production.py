"""Without a setting the doctor only warns of what hostile code must not have; with it, pools do not start."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from recorded_engines import DEBIAN_12, INFO

from petri import up
from petri.config import load
from petri.doctor import examine, refusal
from petri.doctor.finding import BAD, OK, WARN, Finding, Severity, Verdict, check
from petri.doctor.production import examine_for_production


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers what Debian 12's engine answers."""

    daemon_threads = True
    has_images = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        path = self.path.partition("/v1.41")[2] or self.path
        status, answer = 404, {"message": "no such image"}
        if path == "/version" or path == "/info":
            status, answer = 200, DEBIAN_12 if path == "/version" else INFO
        elif path.startswith("/images/") and self.server.has_images:
            status, answer = 200, {"Id": "sha256:c125abbde87c46a2"}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def engine(tmp_path):
    """An old one, behind a real socket."""
    with Engine(str(tmp_path / "engine.sock"), Handler) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        yield engine
        engine.shutdown()


@pytest.fixture
def environ(tmp_path, engine):
    """Of a Petri with that engine."""
    return {
        "PATH": os.environ["PATH"],
        "PETRI_RUN_DIR": str(tmp_path / "run"),
        "PETRI_STATE_DIR": str(tmp_path / "state"),
        "PETRI_POOL_DOCKER_HOST": f"unix://{engine.server_address}",
        "PETRI_POOL_NAME": "unfit",
        "PETRI_GATEWAY_PORT": "0",
    }


def config(environ, **more):
    return load(None, environ | more)


def petri(environ, *arguments):
    command = [sys.executable, "-m", "petri", *arguments]
    cwd = environ["PETRI_RUN_DIR"]  # no petri.toml of this repository's
    Path(cwd).mkdir(exist_ok=True)
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def by_id(findings):
    return {finding.id: finding for finding in findings}


def test_what_is_bad_for_hostile_code_only_is_a_warning_unless_strict_or_in_production(environ):
    assert by_id(examine(config(environ), strict=False))["docker"].severity is WARN
    assert by_id(examine(config(environ), strict=True))["docker"].severity is BAD
    production = config(environ, PETRI_POOL_PRODUCTION="true")
    assert by_id(examine(production, strict=False))["docker"].severity is BAD


def test_what_keeps_petri_from_running_is_bad_in_any_mode(environ, engine):
    engine.has_images = False
    image = by_id(examine(config(environ), strict=False))["image"]
    assert (image.severity, image.remedy) == (BAD, "`petri images build` makes it")


def test_a_runtime_that_the_engine_lacks_is_bad_in_any_mode(environ):
    def runtimes(**more):
        found = [one for one in examine(config(environ, **more), strict=False) if one.id == "runtime"]
        return [(one.severity, one.seen, "daemon.json" in one.remedy) for one in found]

    assert runtimes() == []
    assert runtimes(PETRI_TEMPLATE_GO_RUNTIME="runc") == [(OK, "go runs under runc", False)]
    assert runtimes(PETRI_TEMPLATE_GO_RUNTIME="runsc", PETRI_TEMPLATE_NODE_RUNTIME="io.containerd.kata.v2") == [
        (OK, "node runs under io.containerd.kata.v2", False),  # a shim need not be named in the configuration
        (BAD, "go: the engine has no runtime runsc; it has io.containerd.runc.v2, runc", True),
    ]


def test_runc_is_not_judged_where_no_template_runs_under_it(environ):
    away = {f"PETRI_TEMPLATE_{name}_RUNTIME": "kata" for name in ("PYTHON", "NODE", "GO")}
    found = by_id(examine_for_production(config(environ, **away)))["runc"]
    assert found.seen == "sandboxes run under kata, whose advisories are not known here"


def test_a_pool_does_not_start_with_a_runtime_that_the_engine_lacks(environ):
    pool = petri(environ | {"PETRI_TEMPLATE_GO_RUNTIME": "runsc"}, "pool")
    assert pool.returncode == 1, pool.stderr
    assert (
        "template go: the engine has no runtime runsc; it has io.containerd.runc.v2, runc\n    |     → name it"
        in pool.stderr
    )
    assert "leasing at" not in pool.stderr


def test_an_engine_that_does_not_answer_is_bad_and_the_host_is_looked_at_all_the_same(environ):
    away = config(environ, PETRI_POOL_DOCKER_HOST="unix:///nonexistent/engine.sock", PETRI_POOL_PRODUCTION="true")
    found = by_id(examine_for_production(away))
    assert found["engine-facts"].severity is BAD
    assert "swap" in found and "docker" not in found
    assert "engine-facts" in (refusal(away) or "")


def test_nothing_is_refused_unless_production_is_set(environ):
    assert refusal(config(environ)) is None


def test_a_refusal_names_each_bad_finding_and_what_to_do(environ):
    production = config(environ, PETRI_POOL_PRODUCTION="true")
    reason = refusal(production) or ""
    bad = [finding for finding in examine_for_production(production) if finding.severity is BAD]
    assert {"docker", "same-machine"} <= {finding.id for finding in bad}
    for finding in bad:
        assert f"  {finding.id}: {finding.seen}\n    → {finding.remedy}" in reason
    assert "cgroup-version" not in reason  # ok in this engine's answer
    assert "lsm" not in reason


def test_petri_up_refuses_before_it_starts_anything(environ):
    production = config(environ, PETRI_POOL_PRODUCTION="true", PETRI_GATEWAY_PORT="1")
    with pytest.raises(up.UpFault, match="not fit for hostile code"):
        up.run(production, [], show_samples=False, once=True)
    with pytest.raises(up.UpFault, match="not fit for hostile code"):
        up.detach(production, [], show_samples=False)
    assert not production.up_lock.exists()


def test_petri_pool_refuses_by_itself(environ):
    ended = petri(environ | {"PETRI_POOL_PRODUCTION": "true"}, "pool")
    assert ended.returncode == 1, ended.stderr
    assert "docker: 20.10.24+dfsg1" in ended.stderr and "upgrade docker" in ended.stderr
    assert not (Path(environ["PETRI_RUN_DIR"]) / "pool-unfit.sock").exists()


def test_the_command_prints_findings_and_exits_with_one_only_if_one_is_bad(environ):
    lenient, strict = petri(environ, "doctor", "--json"), petri(environ, "doctor", "--strict", "--json")
    assert (lenient.returncode, strict.returncode) == (0, 1), lenient.stderr + strict.stderr
    rows = {row["id"]: row for row in json.loads(lenient.stdout)}
    assert set(rows["docker"]) == {"id", "severity", "seen", "why", "remedy", "production"}
    assert (rows["docker"]["severity"], rows["docker"]["production"]) == ("warn", True)
    assert {row["id"]: row for row in json.loads(strict.stdout)}["docker"]["severity"] == "bad"
    text = petri(environ, "doctor", "--strict").stdout
    assert "BAD   docker " in text and "→ upgrade docker" in text
    assert text.splitlines()[-1].count("bad: same-machine, docker") == 1


def test_a_finding_as_text_has_why_and_what_to_do_only_where_it_is_not_well():
    assert Finding("swap", OK, "off", "why", "remedy").as_text() == "ok    swap              off"
    indent = " " * 24
    assert Finding("swap", BAD, "on", "A disk.", "swapoff").as_text() == (
        f"BAD   swap              on\n{indent}A disk.\n{indent}→ swapoff"
    )


@pytest.mark.parametrize(("severity", "production", "after"), [
    (BAD, True, WARN), (WARN, True, WARN), (OK, True, OK), (BAD, False, BAD),
])  # fmt: skip
def test_tolerance_is_for_production_findings_only(severity, production, after):
    assert Finding("x", severity, "", production=production).tolerated().severity is after


def test_a_check_cannot_be_worse_than_it_is_documented():
    @check("x", worst=WARN, why="Because.", remedy="do")
    def look(facts: Severity) -> Verdict:
        return Verdict(facts, "seen")

    assert look(WARN) == Finding("x", WARN, "seen", "Because.", "do", production=True)
    with pytest.raises(AssertionError, match="warn at worst"):
        look(BAD)
