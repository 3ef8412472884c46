"""How Numba compiles a kernel here: each function inside it is only lowered to IR; the whole is optimised and translated once.

Numba makes every function a library of its own, optimised and translated to machine code when it is done and again in each of its callers:
code four calls deep is translated five times.  Nobody starts ours from Python, so a `Part` ends as IR.  A 3×3 layer's first call: 14.4 s
before, 7 s now.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import PassManager

#: where Numba's threading layer has the function that shares a parallel loop out over threads; 0: loops run in the calling thread
shared_out = ctypes.c_void_p()
llvm.add_symbol("numconv_shared_out", ctypes.addressof(shared_out))


def _through_pointer(module: ir.Module) -> None:
    """Numba's `numba_parallel_for` as a function of the kernel's own, which looks at `shared_out` first.

    A child of a process whose threads ran may start none: with 0 there it runs the parallel code that its parent has compiled.
    """
    function = module.globals.get("numba_parallel_for")
    if function is None or not function.is_declaration:
        return
    loop, arrays, extents, steps, data, *_ = function.args
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block())
    at = ir.GlobalVariable(module, loop.type, "numconv_shared_out")
    at.linkage = "external"
    found = b.load(at)
    with b.if_else(b.icmp_unsigned("==", found, loop.type(None))) as (alone, shared):
        with alone:
            body = ir.FunctionType(ir.VoidType(), [a.type for a in (arrays, extents, steps, data)])
            b.call(b.bitcast(loop, body.as_pointer()), [arrays, extents, steps, data])
        with shared:
            b.call(b.bitcast(found, function.type), function.args)
    b.ret_void()


class _NoEnvironment:
    """Of code that is not there yet."""

    @staticmethod
    def set_env(name: str, env: Any) -> None: ...


class Part(JITCodeLibrary):
    """Code that is linked into other libraries and never called by its address."""

    codegen = _NoEnvironment

    def add_ir_module(self, ir_module: ir.Module) -> None:
        _through_pointer(ir_module)
        super().add_ir_module(ir_module)

    def _optimize_final_module(self) -> None: ...

    def _finalize_final_module(self) -> None:
        for variable in self._final_module.global_variables:
            if variable.name.startswith("_ZN08NumbaEnv"):
                variable.linkage = (
                    "linkonce_odr"  # goes with the function when that is inlined; "common" stays, to be set up again by each process
                )
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C within takes effect at the end.

    LLVM sees no signals, and when it is done Python goes on in a callback or in a `__del__`: there Ctrl-C would be raised, printed and
    forgotten, and in the callback the library left without its code.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if held:
        handler(*held[0])


class Whole(JITCodeLibrary):
    """A kernel's own code."""

    def finalize(self) -> None:
        """Optimise and translate: nearly all of it is LLVM's, during which Ctrl-C would wait anyway."""
        with interrupts_held():
            super().finalize()


#: passes for what these functions never hold: closures, with blocks, literal loops, array expressions, errors with values (decision 31)
WITHOUT = {
    "WithLifting", "InlineClosureLikes", "RewriteDynamicRaises", "MakeFunctionToJitFunction", "InlineInlinables", "FindLiterallyCalls",
    "LiteralUnroll", "LiteralPropagationSubPipelinePass", "InlineOverloads", "NopythonRewrites", "DumpParforDiagnostics",
}  # fmt: skip


class PartCompiler(Compiler):
    """For what only kernels call."""

    def define_pipelines(self) -> list[Any]:
        (pipeline,) = super().define_pipelines()
        found = PassManager("part")
        for kind, description in pipeline.passes:
            if kind.__name__ not in WITHOUT:
                found.add_pass(kind, description)
        found.finalize()
        return [found]

    def compile_extra(self, func: Any) -> Any:
        self.state.library = Part(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class CallCompiler(PartCompiler):
    """For what stays a call, however short LLVM finds it."""

    def compile_extra(self, func: Any) -> Any:
        result = super().compile_extra(func)
        result.library.get_function(result.fndesc.llvm_func_name).add_function_attribute("noinline")
        return result


_signatures: dict[Any, Any] = {}


def _resolve(self: Any, context: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
    """In place of `Function.get_call_type`: what an operator makes of numbers is looked up once for each combination of types."""
    resolve = types.BaseFunction.get_call_type
    if (
        kws
        or getattr(self.typing_key, "__module__", "") != "_operator"
        or not all(isinstance(a, types.Number | types.Boolean) for a in args)
    ):
        return resolve(self, context, args, kws)
    key = self.typing_key, args
    if key not in _signatures:
        _signatures[key] = resolve(self, context, args, kws)
    return _signatures[key]


class WholeCompiler(Compiler):
    """For kernels: what Numba makes on the way (bodies of parallel loops, its own functions) is parts too.  Under Numba's compiler lock."""

    def compile_extra(self, func: Any) -> Any:
        codegen = self.state.targetctx.codegen()
        self.state.library = Whole(codegen, func.__qualname__)
        self.state.library.enable_object_caching()
        codegen._library_class = Part
        types.Function.get_call_type = _resolve  # type: ignore[method-assign, assignment]
        try:
            return super().compile_extra(func)
        finally:
            del codegen._library_class, types.Function.get_call_type  # the classes' own show again
