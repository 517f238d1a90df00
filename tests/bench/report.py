"""What script/bench prints: Markdown."""


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
        self.rows, self.notes = [], []

    def row(self, *cells):
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append([cell(c) for c in cells])

    def note(self, text):
        self.notes.append(text)

    def markdown(self):
        lines = [f"**{self.title}**", ""]
        lines.append("| " + " | ".join(self.columns) + " |")
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"
