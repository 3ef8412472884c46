"""ONNX's reference evaluator with numconv's operators, which lets go of results that nobody reads any more."""

from __future__ import annotations

from typing import Any

from onnx.reference import ReferenceEvaluator

from .elementary import ELEMENTARY
from .graph import read_by
from .operators import OPERATORS


class Evaluator(ReferenceEvaluator):
    """Of graphs, their subgraphs and local functions: all of them get the same operators."""

    def __init__(self, proto: Any, *arguments: Any, new_ops: Any = None, **options: Any) -> None:
        super().__init__(proto, *arguments, new_ops=[*OPERATORS, *ELEMENTARY] if new_ops is None else new_ops, **options)
        last = {name: i for i, node in enumerate(self.rt_nodes_) for name in read_by(node.onnx_node)}
        kept = {*self.output_names, *self.rt_inits_}
        #: names that nobody reads after a node
        self._done = [
            [name for name in {*read_by(node.onnx_node), *node.output} if name not in kept and last.get(name, i) == i]
            for i, node in enumerate(self.rt_nodes_)
        ]

    def run(
        self, output_names: Any, feed_inputs: dict[str, Any], attributes: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any] | list[Any]:
        if any(options.values()) or (output_names is not None and list(output_names) != list(self.output_names)):
            return super().run(output_names, feed_inputs, attributes, **options)
        results: dict[str, Any] = {"": None, **self.rt_inits_, **feed_inputs}
        for node, done in zip(self.rt_nodes_, self._done, strict=True):
            inputs = [results[name] for name in node.input]
            linked: dict[str, Any] = {"linked_attributes": attributes} if node.has_linked_attribute and attributes else {}
            if node.need_context():
                linked["context"] = results
            results.update(zip(node.output, node.run(*inputs, **linked), strict=False))
            for name in done:
                results.pop(name, None)
        return [results[name] for name in self.output_names]
