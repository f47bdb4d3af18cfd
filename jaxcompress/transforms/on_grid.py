"""Codes times a scale that is learned, and what of a loss falls to it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@jax.custom_vjp
def on_grid(
    x: Float[Array, "..."],
    scale: Float[Array, "..."],
    codes: Float[Array, "..."],
    inside: Bool[Array, "..."],
) -> Float[Array, "..."]:
    """Returns `codes * scale`, differentiable in what was rounded and in the scale.

    Esser et al. 2020, Learned Step Size Quantization, equation 3: inside of the grid the
    gradient passes to `x`, and the scale gets that of the rounding error; outside the
    scale alone gets it.

    Args:
        x: what was rounded; codes: whole numbers, of its shape.
        scale: broadcasts against `x`, with as many axes or none; where it is 0, so are
            the codes.
        inside: where `x` lies between the ends of the grid.

    Example:
        >>> grid = lambda s: on_grid(
        ...     jnp.float32(0.9), s, jnp.round(0.9 / s), jnp.array(True)
        ... )
        >>> jax.grad(grid)(jnp.float32(0.5)).round(3)  # 2 - 0.9 / 0.5
        Array(0.2, dtype=float32)
    """
    del x, inside
    return codes * scale


def _forward(x: Array, scale: Array, codes: Array, inside: Array) -> tuple[Array, tuple]:
    return codes * scale, (x, scale, codes, inside)


def _backward(residual: tuple, gradient: Array) -> tuple[Array, Array, Array, None]:
    x, scale, codes, inside = residual
    rounded = x / jnp.where(scale == 0.0, 1.0, scale)
    to_scale = gradient * (codes - jnp.where(inside, rounded, 0.0))
    alone = [d for d, n in enumerate(scale.shape) if n == 1] if scale.ndim else None
    to_scale = to_scale.sum(alone, keepdims=scale.ndim > 0)
    return jnp.where(inside, gradient, 0.0), to_scale, jnp.zeros_like(codes), None


on_grid.defvjp(_forward, _backward)
