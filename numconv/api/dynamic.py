"""Dynamic convolution: kernels mixed for each sample by an attention."""

from __future__ import annotations

from typing import Any

from ..arguments.compositions import dynamic
from ..arguments.operators import attention as attention_arguments
from ..call import call
from ..problem import ConvProblem, image_shape
from ..session import Session
from .docstrings import documented


@documented
def dynamic_attention(
    x: Any, fc1: Any, fc2: Any, bias1: Any = None, bias2: Any = None, temperature: float = 1.0, *, out: Any = None,
    precision: str = "highest",
) -> Any:  # fmt: skip
    """The attention over K kernels: softmax((fc2 · relu(fc1 · mean(x) + bias1) + bias2) / temperature).

    Parameters
    ----------
    x : (N, C, *spatial) array
        Images of real numbers.
    fc1 : (hidden, C) array
    fc2 : (K, hidden) array
    bias1 : (hidden,) array, optional
    bias2 : (K,) array, optional
    temperature : float, default 1
        A large one makes the rows nearly uniform, as one wants them early in training.
    out : array, optional
        Of exactly the result's shape, type and kind.
    precision : {"highest", "tf32"}
        As for `conv2d`.

    Returns
    -------
    (N, K) array
        Rows are not negative and sum to 1.

    Raises
    ------
    {raises}

    References
    ----------
    Y. Chen et al.: Dynamic convolution: attention over convolution kernels, CVPR 2020, arXiv 1912.03458, section 3.

    Examples
    --------
    >>> nc.dynamic_attention(np.ones((1, 4, 5, 5)), np.ones((2, 4)), np.zeros((4, 2)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    labels = ("x", "fc1", "fc2", "bias1", "bias2")
    return call("dynamic_attention", attention_arguments, labels, (x, fc1, fc2, bias1, bias2), (temperature, precision), out)


def _mix(run: Session, mix: Any, attention: Any, values: Any) -> Any:
    if not isinstance(mix, ConvProblem):
        return run(mix, (attention, values))
    arrays = (run.reshape(values, (1, *values.shape)), run.reshape(attention, (*attention.shape, 1)), None)
    return run(mix, arrays, algorithm="auto")


def _mix_then_convolve(run: Session, arrays: tuple[Any, ...], problems: tuple[Any, ...], out: Any) -> Any:
    """One grouped convolution over the batch folded into the channels: no loop over samples."""
    x, kernels, attention, bias = arrays
    one, folded, mix, mix_bias, back = problems
    batch, last = back.batch, back.layout == "channels_last"
    w = run.reshape(_mix(run, mix, attention, kernels), folded.weight_shape)
    b = None if bias is None else run.reshape(_mix(run, mix_bias, attention, bias), (folded.out_channels,))
    if last:
        x = run.transpose(x, (0, 3, 1, 2))
    x = run.reshape(x, (1, folded.in_channels, *folded.spatial))
    target = None if last or out is None else run.reshape(out, folded.result_shape)
    y = run(folded, (x, w, b), target, plan_as=one)
    y = run.reshape(y, image_shape(batch, one.out_channels, one.outputs, "channels_first"))
    return run(back, (run.transpose(y, (0, 2, 3, 1)),), out) if last else y


@documented
def dynamic_conv2d(
    x: Any, kernels: Any, attention: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution of each sample with its own mixture of K kernels.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    kernels : (K, C_out, C_in/groups, kh, kw) array
    attention : (N, K) array
        Weights of the mixture, as `dynamic_attention` gives them; any numbers will do.
    bias : (K, C_out) array, optional
        Mixed as the kernels are.
    {stride}
    {padding}
    {dilation}
    {groups}
    {keywords}

    Returns
    -------
    (N, C_out, oh, ow) array
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n] = conv2d(x[n], Σ_k attention[n, k]·kernels[k], Σ_k attention[n, k]·bias[k]), run as one grouped convolution over the batch.

    {numerics}

    References
    ----------
    Y. Chen et al.: Dynamic convolution: attention over convolution kernels, CVPR 2020, arXiv 1912.03458.

    Examples
    --------
    >>> kernels = np.stack([np.ones((1, 1, 1, 1)), 3 * np.ones((1, 1, 1, 1))])
    >>> nc.dynamic_conv2d(np.ones((1, 1, 1, 2)), kernels, [[0.5, 0.5]])
    array([[[[2., 2.]]]])
    """
    options = (stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "kernels", "attention", "bias")
    return call("dynamic_conv2d", dynamic, labels, (x, kernels, attention, bias), options, out, algorithm, _mix_then_convolve, accuracy)
