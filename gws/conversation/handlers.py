"""Binds a handler's parameters by name, once, when it is decorated."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..protocol.messages import Message


class Handler(NamedTuple):
    """A user's function, of whatever parameters."""

    call: Callable[[Any, Message], Any]
    """Called as `call(ws, msg)`."""
    is_async: bool
    """Whether a call makes a coroutine, which is to be run."""


def bind(
    function: Callable[..., object], dependencies: Mapping[str, object], variables: Collection[str]
) -> Handler:
    """Make a handler of a function that takes any of the known parameters, in any order.

    Args:
        function: the user's `def` or `async def`.
        dependencies: objects that may be asked for by name.
        variables: names of the URL rule's variables.

    Raises:
        TypeError: an unknown parameter without a default.
    """
    for name in {"ws", "msg", *dependencies}.intersection(variables):
        raise TypeError(f"the URL variable {name!r} has the name of another parameter")
    known = {"ws": "ws", "msg": "msg", **{name: name for name in dependencies}}
    known |= {name: f"ws.path_params[{name!r}]" for name in variables}
    parameters = inspect.signature(function).parameters
    arguments = _arguments(function, parameters.values(), known)
    if arguments == ["ws", "msg"]:
        return Handler(function, _is_async(function))
    # Generated, as dataclasses are: no names are looked up and no arguments are packed at a message.
    names = {**dependencies, "function": function, "parameters": parameters}
    return Handler(eval(f"lambda ws, msg: function({', '.join(arguments)})", names), _is_async(function))


def _arguments(
    function: Callable[..., object], parameters: Iterable[inspect.Parameter], known: Mapping[str, str]
) -> list[str]:
    """Return what stands between the parentheses of the call."""
    arguments = []
    skipped = False
    for parameter in parameters:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in known:
            by_name = skipped or parameter.kind is parameter.KEYWORD_ONLY
            arguments.append(f"{name}={known[name]}" if by_name else known[name])
        elif parameter.default is parameter.empty:
            raise TypeError(
                f"handler {getattr(function, '__name__', function)!r} asks for {name!r}; "
                f"known parameters are {', '.join(known)}"
            )
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            arguments.append(f"parameters[{name!r}].default")
        else:
            skipped = True
    return arguments


def _is_async(function: Callable[..., object]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
