"""Handlers that do what a message asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Commands:
    """Functions by the messages that ask for them; `@commands("close me")` adds one."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}

    def __call__(self, *messages: str) -> Callable[[Function], Function]:
        """Return a decorator that adds a function."""

        def add(function: Function) -> Function:
            self._functions.update(dict.fromkeys(messages, function))
            return function

        return add

    def __getitem__(self, message: str) -> Callable[..., Any]:
        """Return the function for this message."""
        return self._functions[message]

    def run(self, message: str, *arguments: Any) -> Any:
        """Return what the function for this message returns; the message itself, if there is none."""
        function = self._functions.get(message)
        return function(*arguments) if function else message
