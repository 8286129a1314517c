"""The client's mask (RFC 6455 §5.3), as the `websockets` package applies it: in C, or in Python without a wheel."""

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

__all__ = ["apply_mask"]
