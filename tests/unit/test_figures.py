"""The figures of the house, each on a made-up source that it is right about."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.figures.__main__ import SRC, Row, rows, shown
from tests.figures.circles import circles, imports
from tests.figures.classes import attributes, calling_setters, crowded_protocols, frozen, percentile
from tests.figures.source import Lines, Module, lines, parsed, read
from tests.figures.writers import several_writers


def made(text: str, name: str = "house.room") -> Module:
    return parsed(name, dedent(text))


LINES = [
    ("", (0, 0, 0)),
    ("x = 1\n\n# why\ny = 2  # what\n", (4, 2, 1)),
    ('"""What it is.\n\n# no comment\n"""\nx = 1\n"""What x is."""\n', (6, 1, 0)),
    ('x = """\n# no comment either\n"""\n', (3, 3, 0)),
    ('x = f"""\n# nor this\n{y}\n"""\n', (4, 4, 0)),
    ("def f():\n    # why\n    return 1\n", (3, 2, 1)),
]


@pytest.mark.parametrize(("text", "counted"), LINES)
def test_lines_are_code_comments_or_neither(text: str, counted: tuple[int, int, int]) -> None:
    assert lines([parsed("m", text)]) == Lines(*counted)


def test_comments_are_counted_per_100_lines_of_code() -> None:
    assert (
        lines([parsed("m", "# why\n" + "x = 1\n" * 40), parsed("n", "y = 1\n" * 10)]).comments_per_100 == 2.0
    )
    assert lines([]).comments_per_100 == 0.0


ATTRIBUTES = [
    ("class A(msgspec.Struct, frozen=True):\n    x: int\n    y: int = 0\n    Z: ClassVar[int] = 1", "x y"),
    ("@dataclass\nclass A:\n    x: int", "x"),
    ("@dataclasses.dataclass(frozen=True)\nclass A:\n    x: int", "x"),
    ("class A(NamedTuple):\n    x: int", "x"),
    ("class A:\n    x: int\n    LIMIT = 3\n    def f(self): return self.y", ""),
    ("class A:\n    __slots__ = ('x', 'y')", "x y"),
    ("class A:\n    def f(me):\n        me.x = 1\n        other.y = 2", "x"),
    ("class A:\n    def f(self):\n        self.x, self.y = 1, 2\n        self.z += 1", "x y z"),
    (
        "class A:\n    async def f(self):\n        for self.x in y: pass\n        with z as self.z: pass",
        "x z",
    ),
    ("class A:\n    def f(self):\n        def g(): self.x: int = 1", "x"),
    ("class A:\n    def f(self):\n        self.x.y = self.z[0] = 1", ""),
    ("class A:\n    @staticmethod\n    def f(other): other.x = 1", ""),
    ("class A:\n    @property\n    def x(self): return 1", ""),
]


@pytest.mark.parametrize(("text", "said"), ATTRIBUTES)
def test_attributes_are_fields_slots_and_what_methods_assign(text: str, said: str) -> None:
    assert attributes([parsed("m", text)]) == ({"m.A": set(said.split())} if said else {})


def test_a_class_that_inherits_a_struct_has_fields_too() -> None:
    above = parsed("a", "class A(Struct):\n    x: int")
    below = parsed("b", "class B(A):\n    y: int\nclass C(B):\n    z: int")
    assert attributes([below, above]) == {"a.A": {"x"}, "b.B": {"y"}, "b.C": {"z"}}


def test_a_class_is_frozen_that_says_so() -> None:
    texts = [
        "class A(Struct, frozen=True): ...",
        "@dataclass(slots=True, frozen=True)\nclass B: ...",
        "class C(NamedTuple): ...",
        "class T(TypedDict, total=False): ...",
        "class D(Struct, frozen=False): ...",
        "@dataclass\nclass E: ...",
    ]
    assert frozen([parsed("m", "\n".join(texts))]) == {"m.A", "m.B", "m.C", "m.T"}


@pytest.mark.parametrize(
    ("counts", "percent", "expected"), [([], 95, 0), ([7], 95, 7), (range(1, 101), 95, 95)]
)
def test_a_percentile_is_the_count_that_so_many_do_not_exceed(
    counts: list[int], percent: int, expected: int
) -> None:
    assert percentile(counts, percent) == expected


def test_a_protocol_that_asks_for_much_is_named() -> None:
    methods = "".join(f"\n    def f{n}(self): ..." for n in range(3))
    module = parsed("m", f"class P(Protocol):{methods}\nclass Q(Protocol[T]):{methods}\nclass R:{methods}")
    assert crowded_protocols([module], 2) == {"m.P": 3, "m.Q": 3}
    assert crowded_protocols([module], 3) == {}
    assert crowded_protocols([parsed("m", f"class P(asyncio.Protocol):{methods}")], 2) == {}


def test_a_setter_that_calls_something_is_named() -> None:
    module = made("""
        class A:
            @property
            def x(self): return f()
            @x.setter
            def x(self, value): self._x = value
            @property
            def y(self): return 1
            @y.setter
            def y(self, value):
                if value:
                    self._on_change(value)
    """)
    assert calling_setters([module]) == ["house.room.A.y"]


# --- imports ----------------------------------------------------------------------------------------


def test_imports_are_those_of_the_house_late_and_for_types_included() -> None:
    house = [
        parsed("h", "", package=True),
        parsed("h.a", "import os\nimport h.b\nfrom h import c, version\nfrom h.d import x"),
        parsed("h.b", "def f():\n    from h.a import y"),
        parsed("h.c", "if TYPE_CHECKING:\n    from h.d import T"),
        parsed("h.d", "from h.d import itself"),
    ]
    assert imports(house) == {
        "h": set(),
        "h.a": {"h", "h.b", "h.c", "h.d"},
        "h.b": {"h.a"},
        "h.c": {"h.d"},
        "h.d": set(),
    }


def test_circles_are_the_groups_that_lead_to_one_another() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}, "g": set()}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]
    assert circles({"a": {"b"}, "b": set()}) == []


# --- writers ----------------------------------------------------------------------------------------

UNIT = """
    class Unit:
        def __init__(self):
            self.retries = 0
            self.error = None
"""
WRITES = [
    ("def f(unit: Unit): unit.retries += 1", "retries"),
    ("def f(unit: Unit | None): unit.retries = 1", "retries"),
    ("def f(unit: 'Unit'): unit.retries = 1", "retries"),
    ("def f(*, unit: Unit): unit.retries, x = 1, 2", "retries"),
    ("def f():\n    unit = Unit()\n    unit.error = 1", "error"),
    ("def f():\n    unit = make()\n    unit.retries = 1\ndef make() -> int: ...", "retries"),
    (
        "class A:\n    def __init__(self, unit: Unit): self.u = unit\n    def f(self): self.u.error = 1",
        "error",
    ),
    ("class A:\n    def f(self): self.u.error = 1\n    def g(self): self.u: Unit = x", "error"),
    ("class A(Struct):\n    u: Unit\ndef f(a: A): a.u.error = 1", "error"),
    ("class A:\n    @property\n    def u(self) -> Unit: ...\n    def f(self): self.u.error = 1", "error"),
    ("class A:\n    def u(self) -> Unit: ...\n    def f(self): self.u().error = 1", "error"),
    ("def f(unit: Unit):\n    def g(): unit.error = 1", "error"),
    ("async def f(unit: Unit):\n    if (other := unit): other.error = 1", "error"),
    ("def f(unit: Unit): return unit.retries == 1", ""),
    ("def f(other: Other): other.error = 1\nclass Other:\n    error: int", ""),
    ("def f(task): task.name = 1", ""),
]


@pytest.mark.parametrize(("text", "said"), WRITES)
def test_whoever_assigns_an_objects_attributes_writes_it(text: str, said: str) -> None:
    """Beside a first module that does, so that two are named where this one is."""
    house = [
        made(UNIT, "h.unit"),
        parsed("h.first", "from h.unit import Unit\ndef f(u: Unit): u.retries = 0"),
        parsed("h.second", f"from h.unit import Unit\n{text}"),
    ]
    writers = {"h.first": {"retries"}, "h.second": set(said.split())}
    assert several_writers(house) == ({"h.unit.Unit": writers} if said else {})


def test_a_constructor_writes_nothing_and_any_other_method_does() -> None:
    other = parsed("h.other", "from h.unit import Unit\ndef f(u: Unit): u.retries = 0")
    assert several_writers([made(UNIT, "h.unit"), other]) == {}
    own = made(f"{UNIT}\n        def again(self): self.error = 1", "h.unit")
    assert several_writers([own, other]) == {"h.unit.Unit": {"h.unit": {"error"}, "h.other": {"retries"}}}


def test_an_attribute_that_several_classes_declare_is_nobodys_where_the_object_is_unknown() -> None:
    house = [
        made(UNIT, "h.unit"),
        parsed("h.a", "def f(x): x.error = x.retries = 1"),
        parsed("h.b", "def f(x): x.error = x.retries = 1\nclass Other:\n    def g(self): self.error = 1"),
    ]
    assert several_writers(house) == {"h.unit.Unit": {"h.a": {"retries"}, "h.b": {"retries"}}}


# --- the house as it is -----------------------------------------------------------------------------


def test_each_figure_stands_beside_its_target() -> None:
    seventeen = "".join(f"self.a{n} = " for n in range(17))
    eighteen = "; ".join(f"a{n}: int" for n in range(18))
    house = [
        parsed("s3_upload.transfer.a", f"class A:\n    def f(self): {seventeen}1"),
        parsed("s3_upload.transfer.t", f"class T(Struct, frozen=True):\n    {eighteen}"),
        parsed("s3_upload.control.b", "# why\nfrom s3_upload.transfer import a"),
    ]
    found = {row.what: row for row in rows(house)}
    crowded = ["transfer.t.T: 18 (frozen)", "transfer.a.A: 17"]
    assert found["attributes per changing class, most"][1:3] == ("17", "≤ 16")
    assert found["the same of all classes, most"][1:] == ("18", "", crowded)
    assert found["comments on their own line per 100 of code, control/"][1:3] == ("100.0", "≥ 4")
    assert found["comments on their own line per 100 of code, transfer/"][1:3] == ("0.0", "≥ 4")
    assert found["arrows up"].details == ["control.b: control must not import s3_upload.transfer.a"]


def test_a_detail_has_a_line_below_its_figure() -> None:
    text = shown([Row("lines", "1,234"), Row("circles of imports", "1", "0", ["a ↔ b"])])
    assert text.splitlines() == [
        "lines                 1,234",
        "circles of imports        1  0",
        "    a ↔ b",
    ]


def test_no_module_of_the_house_leads_back_to_itself() -> None:
    assert circles(imports(read(SRC))) == []
