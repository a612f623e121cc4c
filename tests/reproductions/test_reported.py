from reproductions import reported


def test_everything_the_paper_reports_is_there():
    rows = {path.stem: len(reported.load(path.stem)) for path in reported.FOLDER.glob("*.csv")}
    expected = {
        "table1": 8,
        "table2": 84,
        "table3": 12,
        "figure3_speed_accuracy": 240,
        "figure4_luha": 30,
        "figure5_exit_layers": 36,
        "figure7_convergence": 9,
        "authors_readme": 10,
        "misprints": 23,
    }
    assert expected.items() <= rows.items()


def test_tables_2_and_3_with_their_misprints():
    table = reported.corrected().set_index(["task", "model", "setting"])
    assert len(table) == 96
    corrected = table[table["corrected_mflops"] != table["mflops"]]
    assert corrected.index.tolist() == [("yelp-polarity", "FastBERT", "speed=0.2")]
    assert corrected[["mflops", "corrected_mflops", "doubtful"]].values.tolist() == [[52783, 5278, False]]
    doubtful = table[table["doubtful"]]
    assert doubtful.index.tolist() == [("yelp-polarity", "FastBERT", "speed=0.7")]
    assert doubtful["misprint"].item() == "misprinted accuracy 94.67: figure 3 draws 94.59"
    assert table.loc["weibo", "DistilBERT", "3 layers"]["misprint"] == (
        "misprinted mflops 5428, by arithmetic 5482: 3 × 1811.94 + 46.14 = 5481.96M; "
        "misprinted speedup 4.01, by arithmetic 3.97: 21785.25 / 5481.96 = 3.974"
    )
    # Six Chinese and six English DistilBERTs, Ag.news' of 3 layers, three speedups, Yelp.P twice.
    assert (table["misprint"] != "").sum() == 6 + 6 + 1 + 3 + 2
    assert set(reported.misprints()["effect"]) == {"as printed", "corrected", "not compared"}
