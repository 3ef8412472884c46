"""How Numba compiles a kernel here: each function inside it is only lowered to IR; the whole is optimised and translated once.

Numba makes every function a library of its own, optimised and translated to machine code when it is done and again in each of its callers: code four calls
deep is translated five times.  Nobody starts ours from Python, so a `Part` ends as IR.  A 3×3 layer's first call: 14.4 s before, 7 s now.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _NoEnvironment:
    """Of code that is not there yet."""

    @staticmethod
    def set_env(name: str, env: Any) -> None: ...


class Part(JITCodeLibrary):
    """Code that is linked into other libraries and never called by its address."""

    codegen = _NoEnvironment

    def _optimize_final_module(self) -> None: ...

    def _finalize_final_module(self) -> None:
        for variable in self._final_module.global_variables:
            if variable.name.startswith("_ZN08NumbaEnv"):
                variable.linkage = "linkonce_odr"  # goes with the function when that is inlined; "common" stays, to be set up again by each process
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0


class PartCompiler(Compiler):
    """For what only kernels call."""

    def compile_extra(self, func: Any) -> Any:
        self.state.library = Part(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


class WholeCompiler(Compiler):
    """For kernels: what Numba makes on the way (bodies of parallel loops, its own functions) is parts too.  Runs under Numba's compiler lock."""

    def compile_extra(self, func: Any) -> Any:
        codegen = self.state.targetctx.codegen()
        self.state.library = codegen.create_library(func.__qualname__)
        self.state.library.enable_object_caching()
        codegen._library_class = Part
        try:
            return super().compile_extra(func)
        finally:
            del codegen._library_class  # the class's own shows again
