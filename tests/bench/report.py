"""What script/bench prints and writes: Markdown tables, and a chart."""

import os
import re
from xml.sax.saxutils import escape


def cell(value):
    if isinstance(value, float):
        if value >= 100:
            return f"{value:,.0f}"
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


class Table:
    """name: of the part, also between the markers of doc/performance.md."""

    def __init__(self, name, title, *columns):
        self.name, self.title, self.columns = name, title, columns
        self.rows, self.notes, self.bars = [], [], []

    def row(self, *cells):
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append([cell(c) for c in cells])

    def note(self, text):
        self.notes.append(text)

    def bar(self, label, value):
        """Part of the chart of this table."""
        self.bars.append((label, value))

    def markdown(self):
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"


def replace_between(path, name, text):
    """Replace what stands in the file between the markers of this name."""
    with open(path) as f:
        old = f.read()
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
    new, count = re.subn(re.escape(begin) + ".*?" + re.escape(end),
                         lambda _: begin + text + end, old, flags=re.S)
    if count != 1:
        raise ValueError(f"{path}: the markers {begin.strip()} and {end} are not there once")
    with open(path + ".new", "w") as f:
        f.write(new)
    os.replace(path + ".new", path)


STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.bar { fill: #8c959f } .own { fill: #0969da } .line { stroke: #8c959f }
@media (prefers-color-scheme: dark) {
	text { fill: #e6edf3 } .bar { fill: #6e7681 } .own { fill: #4493f8 } .line { stroke: #6e7681 }
}
"""


def chart(title, bars, subtitle):
    """A bar chart as SVG, readable on light and on dark ground. The bars of fluidhook stand out."""
    left, width, step = 250, 400, 26
    most = max(value for _, value in bars)
    height = 64 + step * len(bars)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{height}"'
             f' viewBox="0 0 {left + width + 70} {height}" role="img">',
             f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
             f'<text x="0" y="16" font-weight="bold">{escape(title)}</text>',
             f'<text x="0" y="36">{escape(subtitle)}</text>']
    for n, (label, value) in enumerate(bars):
        y = 50 + step * n
        kind = "own" if label.startswith("fluidhook") else "bar"
        bar = max(1, round(width * value / most))
        lines += [f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
                  f'<rect class="{kind}" x="{left}" y="{y}" width="{bar}" height="18" rx="2"/>',
                  f'<text x="{left + bar + 6}" y="{y + 14}">{value:.2f}</text>']
    lines.append(f'<line class="line" x1="{left}" y1="46" x2="{left}" y2="{height - 12}"/>')
    return "\n".join(lines) + "\n</svg>\n"


def write(source, tables, machine):
    """Into doc/performance.md, doc/performance.svg and README.md."""
    document = os.path.join(source, "doc/performance.md")
    for table in tables:
        replace_between(document, table.name, table.markdown() + "\n" + machine + "\n")
        if table.bars:
            with open(os.path.join(source, "doc/performance.svg"), "w") as f:
                f.write(chart(table.title, table.bars, table.chart_subtitle))
            replace_between(os.path.join(source, "README.md"), "chart",
                            f"![{table.title}](doc/performance.svg)\n")
