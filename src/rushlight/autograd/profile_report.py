"""The events of a profile: sums, the table, torch's names for its columns."""

from __future__ import annotations

from collections.abc import Iterator

Shapes = tuple[tuple[int, ...], ...]

# What `sort_by` may be: torch's names, and what is looked at.
SORT_KEYS = {
    "cpu_time": "cpu_time",
    "cpu_time_total": "cpu_time_total",
    "self_cpu_time_total": "cpu_time_total",
    "count": "count",
    "bytes": "bytes",
    "cpu_memory_usage": "bytes",
    "self_cpu_memory_usage": "bytes",
}
COLUMNS = ("Name", "Served by", "Self CPU %", "Self CPU", "CPU time avg", "# of Calls", "Bytes", "GB/s", "Layouts")


class Event:
    """One call of a kernel, a copy between layouts, or a labelled stretch; or the sum of several. Times in nanoseconds."""

    __slots__ = ("key", "start", "end", "thread", "served_by", "shapes", "bytes", "layouts", "count", "total")

    def __init__(
        self, key: str, start: int, end: int, thread: int, served_by: str, shapes: Shapes, bytes: int, layouts: tuple[str, ...]
    ) -> None:
        self.key = key
        self.start = start
        self.end = end
        self.thread = thread
        self.served_by = served_by
        self.shapes = shapes
        self.bytes = bytes
        self.layouts = layouts
        self.count = 1
        self.total = end - start

    @property
    def name(self) -> str:
        return self.key

    @property
    def input_shapes(self) -> list[list[int]]:
        return [list(shape) for shape in self.shapes]

    @property
    def cpu_time_total(self) -> float:
        """Microseconds."""
        return self.total / 1e3

    @property
    def self_cpu_time_total(self) -> float:
        return self.cpu_time_total

    @property
    def cpu_time(self) -> float:
        """Microseconds a call."""
        return self.cpu_time_total / self.count

    def add(self, other: Event) -> None:
        """Sum another event into this one."""
        self.count += other.count
        self.total += other.total
        self.bytes += other.bytes
        self.layouts = tuple(dict.fromkeys((*self.layouts, *other.layouts)))
        if self.served_by != other.served_by:
            self.served_by = "both"

    def copy(self) -> Event:
        found = Event(self.key, self.start, self.end, self.thread, self.served_by, self.shapes, self.bytes, self.layouts)
        found.count, found.total = self.count, self.total
        return found

    def __repr__(self) -> str:
        return f"<Event {self.key}: {self.count} calls, {seconds_text(self.cpu_time_total)}, {self.served_by}>"


class EventList:
    """Events in order, and how long the profile ran (`wall`, microseconds)."""

    def __init__(self, events: list[Event], wall: float, summed: bool = False) -> None:
        self.events = events
        self.wall = wall
        self.summed = summed

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __getitem__(self, place: int) -> Event:
        return self.events[place]

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in kernels and copies; labelled stretches contain these and are not counted."""
        return sum(event.cpu_time_total for event in self.events if event.served_by != "label")

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The events summed by name (and input shapes)."""
        sums: dict[tuple[str, Shapes | None, bool], Event] = {}
        for event in self.events:
            key = (event.key, event.shapes if group_by_input_shape else None, event.served_by == "label")
            if key in sums:
                sums[key].add(event)
            else:
                sums[key] = event.copy()
        return EventList(list(sums.values()), self.wall, summed=True)

    def total_average(self) -> Event:
        """All events summed."""
        total = Event("Total", 0, 0, 0, "-", (), 0, ())
        total.count = 0
        for event in self.events:
            if event.served_by != "label":
                total.add(event)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The events as text, the most expensive first when `sort_by` names a column.

        Raises `ValueError` for a name that is no column; those of accelerators mean the CPU's here.
        """
        rows = list(self.events)
        if sort_by is not None:
            wanted = sort_by.replace("cuda", "cpu").replace("device", "cpu")
            if wanted not in SORT_KEYS:
                raise ValueError(f"table(): sort_by={sort_by!r} is not one of {', '.join(SORT_KEYS)}")
            rows.sort(key=lambda event: -float(getattr(event, SORT_KEYS[wanted])))
        total = self.self_cpu_time_total
        cells = [_cells(event, total, max_name_column_width) for event in (rows[:row_limit] if row_limit >= 0 else rows)]
        widths = [max(len(row[i]) for row in [COLUMNS, *cells]) for i in range(len(COLUMNS))]
        rule = "  ".join("-" * width for width in widths)
        lines = [header] if header else []
        lines += [rule, _line(COLUMNS, widths), rule, *(_line(row, widths) for row in cells), rule]
        lines.append(f"Self CPU time total: {seconds_text(total)} of {seconds_text(self.wall)} that passed")
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self.events))}]"


def _cells(event: Event, total: float, width: int) -> tuple[str, ...]:
    name = event.key if len(event.key) <= width else event.key[: width - 3] + "..."
    label = event.served_by == "label"
    share = "-" if label or not total else f"{100 * event.cpu_time_total / total:.2f}%"
    rate = f"{event.bytes / event.total:.1f}" if event.total and event.bytes else "-"
    return (
        name, event.served_by, share, seconds_text(event.cpu_time_total), seconds_text(event.cpu_time), str(event.count),
        bytes_text(event.bytes), rate, ", ".join(event.layouts),
    )  # fmt: skip


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    """Names and layouts stand left, figures right."""
    last = len(cells) - 1
    return "  ".join(
        cell.ljust(width) if i in (1, last) else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def seconds_text(microseconds: float) -> str:
    """A time as torch prints it: three decimals and the unit that fits."""
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    return f"{microseconds / 1e3:.3f}ms" if microseconds >= 1e3 else f"{microseconds:.3f}us"


def bytes_text(count: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
