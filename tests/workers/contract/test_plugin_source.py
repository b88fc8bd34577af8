"""A name is found in a source without running it."""

import pytest

from workers.contract.plugin_source import gives_name


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "async def f(): pass",
        "class f: pass",
        "f = 1",
        "f: int = 1",
        "a, (f, *b) = 1, (2, 3)",
        "import f",
        "import f.g",
        "import a as f",
        "from a import f",
        "from a import b as f",
        "if a:\n    pass\nelse:\n    f = 1",
        "try:\n    from a import f\nexcept ImportError:\n    f = None",
        "from a import *",
        "def __getattr__(name): ...",
    ],
)
def test_names_at_the_top_level(source):
    """Defined, assigned, imported, also under a condition; or not to be known without running."""
    assert gives_name(source.encode(), "f")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def g():\n    f = 1",
        "class g:\n    def f(self): ...",
        "f.a = 1",
        "import f as g",
        "f()",
    ],
)
def test_names_that_are_elsewhere(source):
    """Inside a function or class, or only used."""
    assert not gives_name(source.encode(), "f")
