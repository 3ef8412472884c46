"""Compile a specimen with no GPU by the very path of run time (LTO-IR → nvJitLink), and read what it uses.  Not imported at run time."""

from __future__ import annotations

import re
import types as python_types
from dataclasses import dataclass
from typing import Any

from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import cuda
from numba.cuda import dispatcher, types

from .specimens.specimen import Specimen

#: resident threads, registers and shared bytes of a multiprocessor
LIMITS = {"sm_75": (1024, 65536, 65536), "sm_80": (2048, 65536, 167936), "sm_90": (2048, 65536, 233472), "sm_90a": (2048, 65536, 233472)}
#: bytes of shared memory that one block may ask for
BLOCK_SHARED = {"sm_75": 64 << 10, "sm_80": 163 << 10, "sm_90": 227 << 10, "sm_90a": 227 << 10}
ARCHITECTURES: tuple[tuple[Any, ...], ...] = ((7, 5), (8, 0), (9, 0), (9, 0, "a"))


@dataclass(frozen=True)
class Usage:
    """What ptxas says of one kernel on one architecture."""

    registers: int
    stack: int
    spills: int  # bytes stored and loaded
    shared: int


def _type(word: Any) -> Any:
    if isinstance(word, dict):
        (fields, words), *_ = word.items()
        return types.BaseTuple.from_types([_type(w) for w in words], fields)
    if word.endswith("[]"):
        return types.Array(getattr(types, word[:-2]), 1, "C")
    return getattr(types, word)


def _prepare(specimen: Specimen, cc: tuple[Any, ...]) -> tuple[Any, Any, dict[str, Any]]:
    # device functions ask the current device for its architecture, which does not exist here
    dispatcher.get_current_device = lambda: python_types.SimpleNamespace(compute_capability=cc)  # type: ignore[attr-defined]
    kernel = specimen.make()
    options = {"launch_bounds": kernel.targetoptions["launch_bounds"]} if kernel.targetoptions.get("launch_bounds") else {}
    return kernel.py_func, types.void(*(_type(w) for w in specimen.arguments)), options


def ptx(specimen: Specimen, cc: tuple[Any, ...] = (8, 0)) -> str:
    function, signature, options = _prepare(specimen, cc)
    return cuda.compile(function, signature, device=False, cc=cc, abi="numba", **options)[0]


def link(specimen: Specimen, cc: tuple[Any, ...]) -> Usage:
    function, signature, options = _prepare(specimen, cc)
    codes, _ = cuda.compile_all(function, signature, device=False, cc=cc, abi="numba", output="ltoir", **options)
    objects = [ObjectCode.from_ltoir(c) if isinstance(c, bytes) else c for c in codes]
    return _assemble(objects, cc, True)


def link_ptx(text: str, cc: tuple[Any, ...]) -> Usage:
    """Assemble PTX for an architecture no older than the one it was made for: quicker than compiling anew."""
    return _assemble([ObjectCode.from_ptx(text.encode())], cc, None)


def _assemble(objects: list[Any], cc: tuple[Any, ...], optimise: bool | None) -> Usage:
    settings = LinkerOptions(arch=architecture(cc), link_time_optimization=optimise, ptxas_options=["-v"])
    linker = Linker(*objects, options=settings)
    linker.link("cubin")
    log = linker.get_info_log() + linker.get_error_log()
    linker.close()
    registers = re.search(r"Used (\d+) registers", log)
    stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if registers is None or stack is None:
        raise RuntimeError(f"the linker's log names no registers:\n{log}")
    shared = re.search(r"(\d+) bytes smem", log)
    frame, stores, loads = map(int, stack.groups())
    return Usage(int(registers[1]), frame, stores + loads, int(shared[1]) if shared else 0)


def architecture(cc: tuple[Any, ...]) -> str:
    return "sm_" + "".join(map(str, cc))


def lint(text: str) -> dict[str, int]:
    """How often PTX holds what it should not."""
    return {
        "float64": len(re.findall(r"\.f64\b", text)),
        "local memory": len(re.findall(r"\b(?:ld|st)\.local|^\s*\.local\b", text, re.M)),
        "64-bit division": len(re.findall(r"\b(?:div|rem)\.[us]64", text)),
    }


def occupancy(usage: Usage, threads: int, arch: str, dynamic: int = 0) -> float:
    """Resident share of a multiprocessor's threads, by registers (allotted by 256 a warp), shared memory and threads."""
    most, registers, shared = LIMITS[arch]
    warps = -(-threads // 32)
    per_warp = -(-usage.registers * 32 // 256) * 256
    blocks = min(most // threads, registers // (per_warp * warps), 32 if arch != "sm_75" else 16)
    if usage.shared + dynamic:
        blocks = min(blocks, shared // (usage.shared + dynamic + 1024))
    return blocks * threads / most
