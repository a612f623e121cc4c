import pandas as pd

from plots import efficiency
from plots.cli import main
from reproductions.tables import write_table

SPEEDUPS = (1.0, 1.0), (2.0, 1.9), (4.0, 3.2)  # by FLOPs and as measured


def rows(task="book-review", device="cpu", precision="fp32", batch=32):
    return [
        {
            "task": task,
            "device": device,
            "precision": precision,
            "mode": "latency" if batch == 1 else "throughput",
            "batch": batch,
            "speed": index / 10,
            "mean_layers": 12 / flops,
            "flops_speedup": flops,
            "measured_speedup": measured,
            "efficiency": measured / flops,
            "efficiency_end_to_end": measured / flops,
            "overhead_at_speed_0": 1.0 if index == 0 else None,
            "fixed_cost_us": 12.0 if batch == 1 else None,
            "samples_per_second": 10.0,
            "samples": 64,
            "machine": "some machine",
            "git_sha": "0123456789" * 4,
            "git_dirty": "no",
            "date": "2026-01-02T03:04:05+00:00",
        }
        for index, (flops, measured) in enumerate(SPEEDUPS)
    ]


def test_a_line_for_each_batch_and_precision_beside_the_limit():
    table = pd.DataFrame(rows() + rows(batch=1) + rows(precision="bf16") + rows("dbpedia"))
    figure = efficiency.draw({"efficiency": table})
    first, second = figure.axes
    assert [line.get_label() for line in first.lines][1:] == ["batch 1, fp32", "batch 32, bf16", "batch 32, fp32"]
    assert list(first.lines[1].get_xdata()) == [1, 2, 4]
    assert list(first.lines[1].get_ydata()) == [1, 0.95, 0.8]
    assert set(first.lines[0].get_ydata()) == {1}
    assert first.get_ylim() == second.get_ylim() == (0.5, 1.25)
    assert (first.get_title(), second.get_title()) == (
        "book-review, other, cpu:\nefficiency 0.80 to 0.95",
        "dbpedia, other, cpu:\nefficiency 0.80 to 0.95",
    )


def test_what_was_timed_is_drawn_without_runs(tmp_path, capsys):
    write_table(tmp_path / "bench", "efficiency", pd.DataFrame(rows()))
    assert main(["--results-dir", str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "bench" / "figures").iterdir()} == {"efficiency.png", "efficiency.svg"}


def test_no_table_is_said(tmp_path, capsys):
    (tmp_path / "bench").mkdir()
    assert main(["--results-dir", str(tmp_path)]) == 0
    assert "not drawn: efficiency (no efficiency.csv)" in capsys.readouterr().out
