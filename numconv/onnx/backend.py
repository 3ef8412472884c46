"""ONNX's interface of backends (`onnx.backend.base`): `prepare`, `run_model`, `run_node`, `supports_device`."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from . import Network


class _Prepared(BackendRep):
    def __init__(self, model: onnx.ModelProto) -> None:
        self._network = Network(model)

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The outputs, by number and by name."""
        found: tuple[Any, ...] = namedtupledict("Outputs", self._network.outputs)(*self._network.run(inputs))
        return found


class NumconvBackend(Backend):
    """Models on the CPU, their convolutions by numconv."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> BackendRep:
        if not cls.supports_device(device):
            raise ValueError(f"onnx.backend.prepare: no device but the CPU; got {device!r}")
        super().prepare(model, device, **options)  # ONNX's checker
        return _Prepared(model)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **options: Any) -> tuple[Any, ...]:
        """One operator of the newest version of ONNX, or of `opset_version`."""
        super().run_node(node, inputs, device, outputs_info, **options)
        names = [name for name in node.input if name]
        values = inputs if isinstance(inputs, list | tuple) else [inputs]
        taken = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), None) for n, v in zip(names, values, strict=True)
        ]
        given = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        version = options.get("opset_version", onnx.defs.onnx_opset_version())
        model = helper.make_model(
            helper.make_graph([node], "node", taken, given), opset_imports=[helper.make_opsetid(node.domain, version)]
        )
        return _Prepared(model).run(list(values))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.partition(":")[0] == "CPU"


is_compatible = NumconvBackend.is_compatible
prepare = NumconvBackend.prepare
run_model = NumconvBackend.run_model
run_node = NumconvBackend.run_node
supports_device = NumconvBackend.supports_device
