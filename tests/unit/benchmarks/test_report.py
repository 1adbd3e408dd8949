import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document, plots, report, svg, timing
from tests.unit.benchmarks.test_targets import GOOD

ABOUT = {"started": "2026-01-02T03:04:05Z", "machine": "2 × a <fast> one", "commit": "abc"}


def measured(*milliseconds: float, **more: Any) -> dict[str, Any]:
    return {**timing.figures([one / 1000 for one in milliseconds]), "errors": {}, "misses": 0, **more}


def some_results() -> dict[str, Any]:
    found = measured(1.0, 2.0, 3.0, stages={"parse": 0.1, "lease": 0.4, "thaw": 0.1, "run": 1.0})
    return {
        "sequential": {"every_s": 0.1, "python": {"petri": found, "docker run": measured(200.0, 210.0)}},
        "second_exec": {"first": measured(2.0), "second": measured(2.5)},
        "peers": {
            "rows": {"petri": measured(2.0), "docker exec": measured(30.0)},
            "left_out": {"some <peer>": "it is not here"},
            "versions": {"docker": "20.10"},
        },
        "failed": {"growth": "Traceback: <no memory>"},
    }


def test_the_report_is_two_files_named_by_the_run(tmp_path: Path) -> None:
    as_json, as_html = report.write(tmp_path / "results", ABOUT, some_results())
    assert (as_json.name, as_html.name) == ("20260102T030405Z.json", "20260102T030405Z.html")
    whole = json.loads(as_json.read_text())
    assert whole["about"] == ABOUT
    assert whole["results"]["sequential"]["python"]["petri"]["ms"] == [1.0, 2.0, 3.0]
    assert whole["targets"][0] == {
        "what": "Python one-liner, sequential, one every 100 ms: median",
        "target": "≤ 1/100 of docker run",
        "measured": "1/102: 2.00 ms beside 205 ms",
        "met": True,
    }


def test_the_page_loads_nothing_and_escapes_what_it_shows() -> None:
    page = report.page(ABOUT, some_results())
    assert not any(load in page for load in ("<script", "src=", "href=", "@import", "url("))
    assert "2 × a &lt;fast&gt; one" in page
    assert "some &lt;peer&gt;" in page
    assert "Traceback: &lt;no memory&gt;" in page


def test_every_plot_is_well_formed() -> None:
    drawn = "".join(plots.sections(some_results()))
    pictures = [piece.partition("</svg>")[0] + "</svg>" for piece in drawn.split("<svg")[1:]]
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring("<svg" + picture)


def test_the_table_has_a_line_for_each_target() -> None:
    lines = report.table(GOOD).splitlines()
    assert len(lines) == 2 + len(report.verdicts(GOOD))
    assert all(line.endswith("met") for line in lines[2:])
    assert report.table({"start_up": {"ratio": 0.5}}).count("NOT MET") == 1


def test_one_runs_stages_do_not_count_twice() -> None:
    stages = {"parse": 0.1, "queue": 0.0, "thaw": 0.1, "lease": 0.5, "send": 0.1, "first-byte": 0.5, "exit": 0.2}
    sums = {"run": 0.8, "respond": 0.1, "total": 1.5}
    assert sum(plots.of_one_run(stages | sums).values()) == pytest.approx(1.5)


@pytest.mark.parametrize("log", [False, True])
def test_an_axis_puts_larger_values_further(log: bool) -> None:
    axis = svg.Axis([0.5, 30.0], 0, 100, log=log)
    places = [axis.place(value) for value in (0.5, 1.0, 5.0, 30.0)]
    assert places == sorted(places)
    assert 0 <= places[0] < places[-1] <= 100
    assert len(axis.ticks()) >= 2


def test_an_axis_of_one_value_still_has_a_length() -> None:
    assert svg.Axis([3.0], 0, 100, log=False).ticks()
    assert svg.Axis([10.0], 0, 100, log=True).ticks() == [10.0, 100.0]


def test_a_documents_blocks_are_filled_and_the_rest_stays() -> None:
    text = "before\n<!-- a -->\nold\n<!-- end -->\nbetween\n<!-- b -->\n<!-- end -->\nafter\n"
    once = document.filled(text, {"a": "new \\1", "b": "| t |"})
    assert once == "before\n<!-- a -->\nnew \\1\n<!-- end -->\nbetween\n<!-- b -->\n| t |\n<!-- end -->\nafter\n"
    assert document.filled(once, {"a": "new \\1", "b": "| t |"}) == once
    with pytest.raises(KeyError, match="no <!-- c -->"):
        document.filled(text, {"c": ""})


def test_the_documents_picture_stands_alone() -> None:
    ElementTree.fromstring(document.picture(some_results()))
