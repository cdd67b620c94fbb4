import numpy as np
import pytest
from matplotlib.collections import LineCollection
from PIL import Image

from lightning_untrac.results import influence_intervals, influence_matrix, plot_intervals, plot_matrix, save_plots
from lightning_untrac.results.figures import save_figure
from lightning_untrac.results.panels import has_trajectory, plot_trajectory
from lightning_untrac.results.scatter import plot_scatter
from lightning_untrac.results.style import GREY, PALETTE
from lightning_untrac.tables import InfluenceStore, ResultsError


def texts(figure):
    return [t.get_text() for axes in figure.axes for t in axes.texts]


def test_files_and_their_bytes(tmp_path, rows):
    InfluenceStore(tmp_path).append(rows)
    paths = save_plots(tmp_path)
    assert sorted(p.name for p in paths) == [
        "intervals_leave_out.png",
        "intervals_untrac.png",
        "matrix_leave_out.png",
        "matrix_untrac.png",
        "scatter_untrac.png",
        "trajectory_leave_out.png",
        "trajectory_untrac.png",
    ]
    assert {p.parent for p in paths} == {tmp_path / "plots"}
    first = [p.read_bytes() for p in paths]
    assert all(data.startswith(b"\x89PNG") for data in first)
    assert [p.read_bytes() for p in save_plots(tmp_path)] == first
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == sorted(p.name for p in paths)


def test_matrix_writes_every_value_and_marks_the_strongest(rows):
    figure = plot_matrix(influence_matrix(rows, "untrac"))
    cells = figure.axes[0].texts
    assert len(cells) == 10
    assert sum(t.get_fontweight() == "bold" for t in cells) == 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "forum",
        "news",
        "wiki",
        "code",
        "books",
    ]


def test_flagged_cells_are_hatched(make_rows):
    matrix = influence_matrix(make_rows(flagged=[("untrac", "news", "nonfinite")]), "untrac")
    figure = plot_matrix(matrix)
    assert sum(bool(patch.get_hatch()) for patch in figure.axes[0].patches) == 2
    assert texts(figure).count("\u2013") == 2


def test_trajectory_has_a_panel_a_test_set_and_a_line_a_corpus(rows):
    figure = plot_trajectory(rows, "untrac")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["toxicity", "bias"]
    for axes in figure.axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(lines) == 5
        assert all(line.get_xdata()[0] == 0 and line.get_ydata()[0] == 0 for line in lines)
    assert has_trajectory(rows, "untrac")
    assert not has_trajectory([r for r in rows if r.final], "untrac")
    with pytest.raises(ResultsError, match="no influences"):
        plot_trajectory(rows, "graddot")


def test_scatter_says_the_correlation_of_usable_cells(make_rows):
    rows = make_rows(flagged=[("untrac", "forum", "collapsed")])
    mine, truth = influence_matrix(rows, "untrac"), influence_matrix(rows, "leave_out")
    r = np.corrcoef(mine.values[1:, 0], truth.values[1:, 0])[0, 1]
    assert f"r = {r:.2f}, n = 4".replace("-", "\u2212") in texts(plot_scatter(mine, truth))


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_awkward_names_and_sizes(tmp_path, make_rows, scale):
    corpora = [f"a very long name of a corpus, part {i} of 12" for i in range(12)] + [
        "_x",
        "$a$",
        "$",
        "\u8a9e\u6599 a/b",
    ]
    rows = make_rows(
        corpora=corpora,
        test_sets=("only $one",),
        seeds=(0,),
        scale=scale,
        flagged=[("untrac", corpora[1], "collapsed"), ("untrac", corpora[2], "nonfinite")],
    )
    assert len(save_plots(tmp_path, rows)) == 5


def test_everything_flagged_or_constant(tmp_path, make_rows):
    corpora = ("a", "b")
    rows = make_rows(corpora=corpora, flagged=[(m, c, "nonfinite") for m in ("untrac", "leave_out") for c in corpora])
    assert len(save_plots(tmp_path / "bad", rows)) == 5
    assert len(save_plots(tmp_path / "flat", make_rows(scale=0.0))) == 5


def test_intervals_have_a_panel_a_test_set_with_the_strongest_on_top(make_rows):
    intervals = influence_intervals(make_rows(seeds=(0, 1, 2)), "untrac")
    figure = plot_intervals(intervals)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["toxicity", "bias"]
    for axes, test_set in zip(figure.axes, ("toxicity", "bias"), strict=True):
        column = intervals.matrix.test_sets.index(test_set)
        ranked = [intervals.matrix.corpora[i] for i in np.argsort(-intervals.matrix.values[:, column])]
        assert [label.get_text() for label in axes.get_yticklabels()] == ranked
        whiskers = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 2]
        ends = {tuple(line.get_xdata()) for line in whiskers}
        assert ends == set(zip(intervals.low[:, column], intervals.high[:, column], strict=True))
        assert set(texts(figure)) >= set(intervals.letters(test_set).values())


def test_a_saved_picture_is_the_one_that_matplotlib_saves(tmp_path, rows):
    figure = plot_matrix(influence_matrix(rows, "untrac"))
    before = figure.dpi, figure.canvas, figure.get_layout_engine()
    saved = Image.open(save_figure(figure, tmp_path / "ours.png", dpi=90)).convert("RGB")
    assert (figure.dpi, figure.canvas, figure.get_layout_engine()) == before  # the caller's figure is left as it was
    figure.savefig(tmp_path / "theirs.png", dpi=90)
    theirs = Image.open(tmp_path / "theirs.png").convert("RGB").quantize(256, dither=Image.Dither.NONE).convert("RGB")
    assert np.array_equal(np.asarray(saved), np.asarray(theirs))


def test_of_many_corpora_those_in_colour_lie_above_the_grey_ones(make_rows):
    names = tuple(f"c{k:02d}" for k in range(30))
    rows = make_rows(corpora=names)
    figure = plot_scatter(influence_matrix(rows, "untrac"), influence_matrix(rows, "leave_out"))
    for axes in figure.axes:
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert sum(len(line.get_xdata()) for line in points) == 30
        grey = [line.get_color() == GREY for line in points]
        assert grey == sorted(grey, reverse=True)
        assert sum(grey) == 1
    figure = plot_trajectory(rows, "untrac")
    for axes in figure.axes:
        [behind] = [part for part in axes.collections if isinstance(part, LineCollection)]
        assert len(behind.get_segments()) == 30 - len(PALETTE)
        assert all(behind.zorder < line.get_zorder() for line in axes.lines if len(line.get_xdata()) > 2)
