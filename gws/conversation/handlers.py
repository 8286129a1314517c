"""Binds a handler's parameters by name, once, when it is decorated."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from ..protocol.messages import Message
from .generators import sending
from .query_arguments import QueryArgument


class Handler(NamedTuple):
    """A user's function, of whatever parameters."""

    call: Callable[[Any, Message], Any]
    """Called as `call(ws, msg)`."""
    is_async: bool
    """Whether a call makes a coroutine, which is to be run."""
    arguments: tuple[QueryArgument, ...] = ()
    """The query parameters that it asks for, which `ws.arguments` has to hold."""


def bind(
    function: Callable[..., object],
    dependencies: Mapping[str, object],
    variables: Collection[str],
    *,
    takes_ws_first: bool = False,
    outlives: bool = False,
) -> Handler:
    """Make a handler of a function that takes any of the known parameters, in any order.

    A parameter that is none of these and has an annotation is a query parameter of its name.

    Args:
        function: the user's `def` or `async def`.
        dependencies: objects that may be asked for by name.
        variables: names of the URL rule's variables.
        takes_ws_first: whether the first parameter is `ws`, whatever it is called.
        outlives: whether the connection's end leaves it alone: a close handler.

    Raises:
        TypeError: an unknown parameter with neither an annotation nor a default, or of a type that no query parameter
            can have.
    """
    for name in {"ws", "msg", "query_params", *dependencies}.intersection(variables):
        raise TypeError(f"the URL variable {name!r} has the name of another parameter")
    known = {
        "ws": "ws",
        "msg": "msg",
        "query_params": "ws.query_params",
        **{name: name for name in dependencies},
    }
    known |= {name: f"ws.path_params[{name!r}]" for name in variables}
    parameters = inspect.signature(function).parameters
    if takes_ws_first:
        first = next((p.name for p in parameters.values() if p.kind in _POSITIONAL), None)
        known |= {first: "ws"} if first else {}
    arguments = _query_arguments(function, parameters.values(), known)
    known |= {name: f"ws.arguments[arguments[{name!r}]]" for name in arguments}
    expressions = _expressions(function, parameters.values(), known)
    is_async = makes_coroutines(function)
    if expressions == ["ws", "msg"]:
        return Handler(sending(_without_partial(function), function, outlives), is_async)
    # Generated, as dataclasses are: no names are looked up and no arguments are packed at a message.
    names = {**dependencies, "function": function, "parameters": parameters, "arguments": arguments}
    call = eval(f"lambda ws, msg: function({', '.join(expressions)})", names)
    return Handler(sending(_without_partial(function), call, outlives), is_async, tuple(arguments.values()))


_MEANT: Final = {"message": "msg", "mgs": "msg", "websocket": "ws", "socket": "ws"}
"""What is nearly never a query parameter, and what it is called here."""
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _query_arguments(
    function: Callable[..., object], parameters: Iterable[inspect.Parameter], known: Mapping[str, str]
) -> dict[str, QueryArgument]:
    """Return what the function asks for of the URL's query, and what a `functools.partial` has not given it."""
    given: set[str] = set()
    partial = function
    while isinstance(partial, functools.partial):
        given.update(partial.keywords)
        partial = partial.func
    return {
        parameter.name: QueryArgument(parameter.name, annotation_of(function, parameter), parameter.default)
        for parameter in parameters
        if parameter.name not in known
        and parameter.name not in given
        and parameter.name not in _MEANT
        and parameter.annotation is not parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def annotation_of(function: Callable[..., object], parameter: inspect.Parameter) -> Any:
    """Return a parameter's annotation, also one that was written as text, or is text by `from __future__`.

    Raises:
        TypeError: the text names something that the function's module does not have.
    """
    annotation = parameter.annotation
    plain: Any = inspect.unwrap(_without_partial(function))
    names = getattr(plain, "__globals__", None) or getattr(type(plain).__call__, "__globals__", {})
    while isinstance(annotation, str):
        try:
            annotation = eval(annotation, names)
        except Exception as error:  # noqa: BLE001 - whatever stands there
            raise TypeError(
                f"the annotation {annotation!r} of {parameter.name!r} in handler {_name_of(function)!r} cannot be "
                f"read ({error}): what it names has to be imported at the top of the module"
            ) from None
    return annotation


def _expressions(
    function: Callable[..., object], parameters: Iterable[inspect.Parameter], known: Mapping[str, str]
) -> list[str]:
    """Return what stands between the parentheses of the call."""
    expressions = []
    skipped = False
    for parameter in parameters:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in known:
            by_name = skipped or parameter.kind is parameter.KEYWORD_ONLY
            expressions.append(f"{name}={known[name]}" if by_name else known[name])
        elif parameter.default is parameter.empty:
            raise TypeError(_unknown(function, name, known))
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            expressions.append(f"parameters[{name!r}].default")
        else:
            skipped = True
    return expressions


def _unknown(function: Callable[..., object], name: str, known: Collection[str]) -> str:
    similar = [_MEANT[name]] if name in _MEANT else difflib.get_close_matches(name, known, 1)
    meant = f" (did you mean {similar[0]!r}?)" if similar else ""
    return (
        f"handler {_name_of(function)!r} asks for {name!r}{meant}; known parameters are {', '.join(known)}; "
        f"a query parameter has an annotation, such as {name}: str"
    )


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", repr(function))


def _without_partial(function: Callable[..., object]) -> Callable[..., object]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def makes_coroutines(function: Callable[..., object]) -> bool:
    """Return whether a call is to be awaited, also that of a partial or of an object with an async `__call__`."""
    function = _without_partial(function)
    functions = (function, type(function).__call__)
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in functions)
