"""The door of search algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from blockzoo.nas.search.task import Query, Task


class Search(Protocol):
    """A search algorithm: proposes networks and hears what their training came to."""

    def ask(self) -> Query:
        """The next network to train, and for how many epochs."""
        ...

    def tell(self, query: Query, value: float) -> None:
        """Its accuracy, or whatever the task maximises."""
        ...


class SearchMaker(Protocol):
    """What makes a search: a class that takes the task and a seed, which alone decides what it draws, then options of its own.

    One that says `in_all = False` is compared with the others only where it is named.
    """

    def __call__(self, task: Task, seed: int, *args: Any, **kwargs: Any) -> Search: ...


SEARCHES: Registry[SearchMaker] = Registry("SEARCHES", "search algorithm", methods=("ask", "tell"))
