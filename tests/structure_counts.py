"""What issue 16 counts below numconv/cpu and numconv/cuda, read from the source by AST.  `python tests/structure_counts.py [root]` prints it per file.

reads       geometry read by number: get(table, 7), get(table, m + 3), table[7], tile[3], table[GROUPS] with GROUPS a module's number
literals    more than three anonymous integers in one list or tuple that is kept or becomes an array
slots       module constants that number the places of a table: HEAD, JOB, PLAN_SLOT
parameters  functions with more than 10 of them (12 in simd/ and for the kernels' own entry points)
families    imports from one family into another
circles     groups of rooms of a device that import each other in a circle
lines       longer than 140 characters, in all of numconv/
long        files of 300 lines and more, functions of 60 and more (CUDA: functions that are no kernel nor its factory)
names       classes and constants defined under one name with different values inside a device
handed      names imported from a module that only imported them itself, in all of numconv/ (a folder's front excepted: it chooses)
skips       `# fmt: skip`, in all of numconv/
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from signal import SIG_DFL, SIGPIPE, signal

DEVICES = ("cpu", "cuda")
FAMILIES = ("dense", "filters", "winograd", "depthwise", "weight_grad", "operators", "named")
#: a subscript by number into one of these is a read of geometry; into other names where one of the numbers is no axis of three
TABLES = re.compile(r"(.*_)?(tab|table|tables|geo|geometry|integers|ints|head|fields|record|slots|plan|job|jobs|g|q)$")
#: reads of data, not of geometry, that look the same: (file, what is read) with its reason; [] for subscripts, else `get`
DATA = {
    ("cpu/named/fft/rows.py", "x"): "the imaginary half of a complex number, beside the real one",
    ("cpu/named/fft/rows.py", "y"): "as x",
    ("cpu/named/fft/rows.py", "w"): "as x",
    ("cpu/operators/deformable/forward.py", "x"): "the four pixels that a sample is blended from",
    ("cpu/operators/deformable/forward.py", "sums"): "four sums side by side",
    ("cpu/operators/deformable/forward.py", "w"): "four filters side by side",
    ("cpu/operators/deformable/backward.py", "x"): "the four pixels that a sample is blended from",
    ("cpu/operators/deformable/backward.py", "dx"): "as x",
    **{("cpu/winograd/pixels.py", f"c{i}[]"): "registers of a transformed column" for i in range(8)},
    **{("cpu/winograd/weights/lift.py", f"{c}[]"): "registers of a transformed column" for c in "abcdefgh"},
    ("cuda/depthwise/halo/kernel.py", "beta[]"): "the bias of four channels",
    ("cuda/operators/deformable/backward.py", "pixels[]"): "the four pixels that a sample is blended from",
    ("cuda/ptx/simulator/intrinsics.py", "array[]"): "the numbers of a 128-bit load",
    ("cuda/scalars.py", "values[]"): "the numbers of a 128-bit store",
    ("cuda/scalars.py", "target[]"): "the numbers of a 128-bit store",
    ("cuda/winograd/kernel.py", "d[]"): "a row of a tile, transformed",
}
#: tuples of roles, not of geometry: (file, their first element)
ROLES = {
    ("cpu/operators/deformable/backward.py", "x"): "the operands of the operator",
    ("cpu/operators/deformable/backward.py", "dx"): "their gradients",
    ("cuda/operators/deformable/backward.py", "dx"): "the gradients of the operands",
    ("cuda/dense/direct/rows.py", "flat(x)"): "the arguments of a launch",
    ("cuda/ptx/intrinsics.py", "names[:4]"): "the registers of an instruction, by operand",
    ("cuda/table.py", "*dense.ROWS"): "the rows of the families",
}
#: what an intrinsic's code generator is handed: LLVM's arguments come by number
GENERATED = {("simd", "args"), ("simd", "sig.args"), ("ptx", "args"), ("ptx", "sig.args")}
CASTS = {"int32", "uint32", "int64", "uint64", "int", "intp"}
#: one meaning each, a value per family: the rows the table sees, and what they have in common
PER_FAMILY = {"ROWS", "COMMON"}
UPPER = re.compile(r"_?[A-Z][A-Z0-9_]*$")
SLOT = re.compile(r"_?(HEAD|JOB|SLOTS?|[A-Z0-9_]+_SLOTS?|SLOT_[A-Z0-9_]+)$")
MOST, MOST_OF_AN_ENTRY, WIDEST = 10, 12, 140
LONG_FILE, LONG_FUNCTION = 300, 60


@dataclass(frozen=True)
class Found:
    file: str  # below numconv/, or the device for what lies between files
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.what}"


@dataclass(frozen=True)
class Source:
    file: str  # below numconv/
    text: str
    tree: ast.Module

    @property
    def rooms(self) -> list[str]:
        return self.file.split("/")[:-1]


@lru_cache(maxsize=4)
def sources(root: Path) -> list[Source]:
    package = root / "numconv"
    texts = [(p.relative_to(package).as_posix(), p.read_text()) for p in sorted(package.rglob("*.py"))]
    return [Source(file, text, ast.parse(text)) for file, text in texts]


def of_devices(root: Path) -> list[Source]:
    return [s for s in sources(root) if s.file.startswith(tuple(f"{d}/" for d in DEVICES))]


def terms(node: ast.expr) -> Iterator[ast.expr]:
    """What an index is the sum of, without casts."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CASTS and len(node.args) == 1:
        yield from terms(node.args[0])
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from terms(node.left)
        yield from terms(node.right)
    else:
        yield node


def numbers(index: ast.expr) -> list[int]:
    return [t.value for t in terms(index) if isinstance(t, ast.Constant) and isinstance(t.value, int)]


def named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """UPPERCASE names at the top of a module, and what they are."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        for target in targets:
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple):
                several = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else [value] * len(target.elts)
                pairs = list(zip(target.elts, several, strict=True))
            found |= {t.id: v for t, v in pairs if isinstance(t, ast.Name) and UPPER.match(t.id) and v is not None}
    return found


def is_number(value: ast.expr) -> bool:
    """Made of integers alone, or of other constants: range(9) unpacked, 3 * AXES."""
    return not any(isinstance(n, ast.List | ast.Tuple | ast.Dict | ast.Attribute | ast.JoinedStr) for n in ast.walk(value)) and not any(
        isinstance(n, ast.Constant) and not isinstance(n.value, int) for n in ast.walk(value)
    )


def chosen(node: ast.expr) -> bool:
    """What is subscripted is a shape, or a constant table of things to choose from (PAIRS[6], TILES[2])."""
    return named(node) in ("shape", "strides") or UPPER.match(named(node)) is not None


@lru_cache(maxsize=4)
def module_numbers(root: Path) -> frozenset[str]:
    """UPPERCASE integers of the devices' modules: an index that adds one is a slot's number by another name."""
    return frozenset(name for s in of_devices(root) for name, value in constants(s.tree).items() if is_number(value))


def scopes(tree: ast.Module) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Each function, and the module, with the nodes that are its own."""

    def own(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef):
                yield child
                yield from own(child)

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Module):
            yield node, list(own(node))


def reads(root: Path) -> list[Found]:
    slots, found = module_numbers(root), []
    for s in of_devices(root):
        room = s.rooms[1] if len(s.rooms) > 1 else ""
        for scope, nodes in scopes(s.tree):
            local = (
                {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                if isinstance(scope, ast.FunctionDef)
                else set()
            )
            places: dict[str, list[tuple[int, ast.expr, str]]] = defaultdict(list)
            for n in nodes:
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "get" and len(n.args) == 2:
                    what = ast.unparse(n.args[0])
                    if numbers(n.args[1]) and (s.file, what) not in DATA:
                        found.append(Found(s.file, n.lineno, ast.unparse(n)))
                elif isinstance(n, ast.Subscript) and not isinstance(n.slice, ast.Slice | ast.Tuple) and not chosen(n.value):
                    what = ast.unparse(n.value)
                    if (s.file, what + "[]") not in DATA and (room, what) not in GENERATED:
                        places[what].append((n.lineno, n.slice, ast.unparse(n)))
            for what, indices in places.items():
                table = TABLES.match(what.rsplit(".", 1)[-1]) or any(m > 2 for _, i, _ in indices for m in numbers(i))
                for line, index, text in indices:
                    names = {named(t) for t in terms(index)} & slots - local
                    if names or (table and numbers(index)):
                        found.append(Found(s.file, line, text))
    return found


def anonymous(node: ast.expr | None) -> bool:
    """A list or tuple of more than three values that are computed and not all alike, and of numbers besides."""
    if not isinstance(node, ast.List | ast.Tuple):
        return False
    counted = [
        e
        for e in node.elts
        if isinstance(e, ast.Name | ast.Attribute | ast.BinOp | ast.Subscript | ast.UnaryOp | ast.IfExp | ast.Starred | ast.Call)
    ]
    counted = [e for e in counted if not (isinstance(e, ast.Call) and named(e.func)[:1].isupper() and e.keywords)]  # records by keyword
    plain = all(isinstance(e, ast.Constant) and isinstance(e.value, int | float) for e in node.elts if e not in counted)
    return len(counted) > 3 and plain and len({ast.unparse(e) for e in node.elts}) > 1


def literals(root: Path) -> list[Found]:
    arrays = {"array", "asarray", "concatenate", "stack", "hstack", "Table", "fromiter", "append", "extend", "tuple", "list"}
    found = []
    for s in of_devices(root):
        for n in ast.walk(s.tree):
            kept = [n.value] if isinstance(n, ast.Assign) and not isinstance(n.targets[0], ast.Tuple) else []
            kept += (
                [n.value] if isinstance(n, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and not isinstance(n.target, ast.Tuple) else []
            )
            kept += n.args[:1] if isinstance(n, ast.Call) and named(n.func) in arrays else []
            found += [
                Found(s.file, k.lineno, ast.unparse(k)[:100])
                for k in kept
                if isinstance(k, ast.List | ast.Tuple) and anonymous(k) and (s.file, ast.unparse(k.elts[0])) not in ROLES
            ]
    return found


def slots(root: Path) -> list[Found]:
    return [Found(s.file, value.lineno, name) for s in of_devices(root) for name, value in constants(s.tree).items() if SLOT.match(name)]


def entries(tree: ast.Module) -> set[str]:
    """Functions that are a kernel's own: decorated with `kernel`, or handed to `kernel(…)` or `jit(…)`."""
    makers, found = ("kernel", "jit"), set()
    for n in ast.walk(tree):
        if isinstance(n, ast.FunctionDef):
            found |= {n.name for d in n.decorator_list if named(d.func if isinstance(d, ast.Call) else d) in makers}
        elif isinstance(n, ast.Call) and named(n.func.func if isinstance(n.func, ast.Call) else n.func) in makers:
            found |= {named(a) for a in n.args} - {""}
    return found


def parameters(root: Path) -> list[Found]:
    found = []
    for s in of_devices(root):
        entry = entries(s.tree)
        for n in ast.walk(s.tree):
            if isinstance(n, ast.FunctionDef):
                every = [
                    a.arg for a in (*n.args.posonlyargs, *n.args.args, *n.args.kwonlyargs) if a.arg not in ("self", "cls", "typingctx")
                ]
                most = MOST_OF_AN_ENTRY if "simd" in s.rooms or n.name in entry else MOST
                found += [Found(s.file, n.lineno, f"{n.name}: {len(every)} parameters")] if len(every) > most else []
    return found


def modules(s: Source) -> Iterator[tuple[int, list[str]]]:
    """(line, the module below numconv/ that is imported, as its parts)."""
    folder = s.rooms
    for n in ast.walk(s.tree):
        if isinstance(n, ast.ImportFrom) and n.level:
            base = folder[: len(folder) - n.level + 1] + (n.module.split(".") if n.module else [])
            if n.module:
                yield n.lineno, base
            else:
                yield from ((n.lineno, [*base, a.name]) for a in n.names)
        elif isinstance(n, ast.ImportFrom) and (n.module or "").startswith("numconv."):
            yield n.lineno, (n.module or "").split(".")[1:]
        elif isinstance(n, ast.Import):
            yield from ((n.lineno, a.name.split(".")[1:]) for a in n.names if a.name.startswith("numconv."))


def arrows(root: Path) -> list[tuple[str, str, str, Found]]:
    """(device, room, room it imports from, where): a room is a folder or a module that lies directly below the device."""
    found = []
    for s in of_devices(root):
        parts = s.file.removesuffix(".py").split("/")
        for line, module in modules(s):
            if module[:1] == parts[:1] and len(module) > 1 and module[1] != parts[1]:
                found.append((parts[0], parts[1], module[1], Found(s.file, line, ".".join(module))))
    return found


def families(root: Path) -> list[Found]:
    return [where for _, room, other, where in arrows(root) if room in FAMILIES and other in FAMILIES]


def circles(root: Path) -> list[Found]:
    """Each group of rooms that reach each other, named once."""
    found = []
    for device in DEVICES:
        below: dict[str, set[str]] = defaultdict(set)
        for of, room, other, _ in arrows(root):
            if of == device:
                below[room].add(other)
        reach = {room: set(others) for room, others in below.items()}
        for _ in reach:
            for room in reach:
                reach[room] |= {far for other in reach[room] for far in below.get(other, ())}
        groups = {frozenset(o for o in reach[room] if room in reach.get(o, ())) for room in reach if room in reach[room]}
        found += [Found(device, 0, " <-> ".join(sorted(g))) for g in sorted(groups, key=sorted)]
    return found


def lines(root: Path) -> list[Found]:
    return [
        Found(s.file, i, f"{len(line)} characters")
        for s in sources(root)
        for i, line in enumerate(s.text.splitlines(), 1)
        if len(line) > WIDEST
    ]


def skips(root: Path) -> list[Found]:
    return [Found(s.file, i, "fmt: skip") for s in sources(root) for i, line in enumerate(s.text.splitlines(), 1) if "# fmt: skip" in line]


def long(root: Path) -> list[Found]:
    found = []
    for s in of_devices(root):
        n = len(s.text.splitlines())
        found += [Found(s.file, 0, f"{n} lines")] if n >= LONG_FILE else []
        every = [f for f in ast.walk(s.tree) if isinstance(f, ast.FunctionDef)]
        inside = {id(g) for f in every for g in ast.walk(f) if g is not f}
        for f in every:
            kernel = s.file.startswith("cuda/") and (
                id(f) in inside or any(isinstance(g, ast.FunctionDef) and g is not f for g in ast.walk(f))
            )
            size = (f.end_lineno or 0) - f.lineno + 1
            found += [Found(s.file, f.lineno, f"{f.name}: {size} lines")] if size >= LONG_FUNCTION and not kernel else []
    return found


def names(root: Path) -> list[Found]:
    """A leading underscore makes no other name of a word."""
    found = []
    for device in DEVICES:
        seen: dict[str, dict[str, Found]] = defaultdict(dict)
        for s in of_devices(root):
            if s.rooms[0] != device:
                continue
            for name, value in constants(s.tree).items():
                seen[name.lstrip("_")].setdefault(ast.unparse(value), Found(s.file, value.lineno, name))
            for n in s.tree.body:
                if isinstance(n, ast.ClassDef):
                    seen[n.name.lstrip("_")].setdefault(ast.unparse(n), Found(s.file, n.lineno, f"class {n.name}"))
        found += [w for name, values in seen.items() if len(values) > 1 and name not in PER_FAMILY for w in values.values()]
    return found


def defined(tree: ast.Module) -> set[str]:
    """Names that a module makes itself, anywhere outside of its functions."""
    found: set[str] = set()
    nodes: list[ast.AST] = [tree]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            else:
                nodes.append(node)
    return found


def handed(root: Path) -> list[Found]:
    own = {s.file: defined(s.tree) for s in sources(root)}
    found = []
    for s in sources(root):
        for n in ast.walk(s.tree):
            if isinstance(n, ast.ImportFrom) and n.level and n.module:
                base = [*s.rooms[: len(s.rooms) - n.level + 1], *n.module.split(".")]
                known = own.get("/".join(base) + ".py")
                if known is not None:
                    found += [
                        Found(s.file, n.lineno, f"{a.name} from {'.'.join(base)}") for a in n.names if a.name != "*" and a.name not in known
                    ]
    return found


COUNTS = {f.__name__: f for f in (reads, literals, slots, parameters, families, circles, lines, long, names, handed, skips)}


def main(root: Path) -> None:
    """The table of counts per file; with names after the root: what was found, of those counts."""
    signal(SIGPIPE, SIG_DFL)  # `| head` is no error
    wanted = [a for a in sys.argv[1:] if a in COUNTS]
    if wanted:
        print(*(str(f) for name in wanted for f in COUNTS[name](root)), sep="\n")
        return
    table = {name: Counter(f.file for f in count(root)) for name, count in COUNTS.items()}
    for device in DEVICES:
        print(f"{device:48}" + "".join(f"{sum(n for f, n in c.items() if f.split('/')[0] == device):11}" for c in table.values()))
    print(f"{'all of numconv':48}" + "".join(f"{c.total():11}" for c in table.values()))
    print(f"\n{'':48}" + "".join(f"{name:>11}" for name in table))
    for file in sorted({f for c in table.values() for f in c}):
        print(f"{file:48}" + "".join(f"{c[file] or '':11}" for c in table.values()))


if __name__ == "__main__":
    roots = [Path(a) for a in sys.argv[1:] if a not in COUNTS]
    main(roots[0].resolve() if roots else Path(__file__).resolve().parents[1])
