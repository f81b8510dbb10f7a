"""What more than one file of these tests looks at."""

import pytest

from static import built


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> built.Package:
    """Return the built package."""
    return built.build(tmp_path_factory.mktemp("package"))
