"""No dataset test may reach for the network."""

from __future__ import annotations

import urllib.request

import pytest


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("there is no network here")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
