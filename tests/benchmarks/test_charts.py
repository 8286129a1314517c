"""The benchmark's charts: what they say, and that they are well-formed."""

from xml.etree import ElementTree

from charts import Bar, Line, Point, Row, bar_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    Row("gws", [Bar(80, 70, 100, "80")], ours=True),
    Row("<peer>", [Bar(40, 40, 40, "40")], ours=False),
]


def line(label: str, *values: float, ours: bool = False) -> Line:
    points = [Point(10.0 ** (2 + i), value, f"{value:g}") for i, value in enumerate(values)]
    return Line(label, points, ours)


def test_bars_are_as_long_as_their_share_of_the_highest_value() -> None:
    bars = ElementTree.fromstring(bar_chart("Echo", ["messages/s"], ROWS)).findall(f"{SVG}rect")
    widths = {bar.get("class"): float(bar.get("width", "")) for bar in bars}
    assert widths["ours"] == 2 * widths["peer"] == 0.8 * 190


def test_a_bar_chart_tells_its_figures_to_who_cannot_see_it() -> None:
    chart = ElementTree.fromstring(bar_chart("Echo & more", ["messages/s"], ROWS))
    assert chart.findtext(f"{SVG}title") == "Echo & more"
    assert chart.findtext(f"{SVG}desc") == "messages/s. gws: 80; <peer>: 40."


def test_points_are_spaced_by_powers_of_ten() -> None:
    chart = ElementTree.fromstring(line_chart("Growth", "connections", "KB", [line("gws", 9, 5, 1)]))
    xs = [float(point.get("cx", "")) for point in chart.findall(f"{SVG}circle")]
    assert xs[2] - xs[1] == xs[1] - xs[0] > 0


def test_a_line_of_one_value_or_of_nothing_but_zeros_can_be_drawn() -> None:
    chart = ElementTree.fromstring(line_chart("Growth", "connections", "KB", [line("gws", 0, ours=True)]))
    assert chart.findtext(f"{SVG}desc") == "KB over connections. gws: 0 at 100."


def test_charts_follow_a_preference_for_dark() -> None:
    assert "prefers-color-scheme: dark" in bar_chart("Echo", ["messages/s"], ROWS)
