"""`Office`: the folders and the memory that a server works off its jobs and batches with."""

from __future__ import annotations

from threading import Event
from typing import Annotated

from fastapi import Depends, Request

from swath.serving.jobs.state import State
from swath.serving.served import Served


class Office:
    """A server's files, jobs and batches; `app.state.office` of the application.

    Args:
        served: the models, and the folder; whoever made it holds the folder's lock.
        price: of an hour of this machine, and its currency, for what a tuning would cost.

    Raises:
        FormatError: the memory is damaged, or a newer swath wrote it.
    """

    def __init__(self, served: Served, price: tuple[float, str] | None = None) -> None:
        self.served, self.price = served, price
        self.files, self.jobs = served.folder / "files", served.folder / "jobs"
        self.batches = served.folder / "batches"
        for folder in (self.files, self.jobs, self.batches):
            folder.mkdir(exist_ok=True)
        self.state = State(served.folder / "state.sqlite")
        self.changed = Event()
        """Set when a job asks to be looked at."""
        self.troubles: dict[str, str] = {}
        """Why jobs of a kind do not go on, while they do not."""


def of_request(request: Request) -> Office:
    """The office of the server that got a request."""
    office: Office = request.app.state.office
    return office


Working = Annotated[Office, Depends(of_request)]
"""A route's parameter: the office."""
