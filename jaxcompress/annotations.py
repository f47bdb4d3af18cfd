"""The shapes of arrays in annotations.

What reads a file works where jaxtyping is not installed; there they say nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8, UInt32, UInt64
else:
    try:
        from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8, UInt32, UInt64
    except ModuleNotFoundError:
        from jax import Array

        class Shaped:
            def __class_getitem__(cls, of: Any) -> Any:
                return of[0]

        Bool = Float = Int = UInt8 = UInt32 = UInt64 = Shaped

__all__ = ["Array", "Bool", "Float", "Int", "Shaped", "UInt8", "UInt32", "UInt64"]
