"""What lets an exported folder answer elsewhere: an endpoint's handler and a container."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from swath.files import safe_name, write_text

HANDLER = '''"""The handler of a Hugging Face Inference Endpoint; written by `swath export`."""

from swath.export.endpoint_handler import EndpointHandler

__all__ = ["EndpointHandler"]
'''

DOCKERFILE = """# Written by `swath export`.
#   docker build -t {name} . && docker run -p 8000:8000 {name}
# Where people reach it by a name, add: --known-as name.example.org
FROM python:3.11-slim
RUN apt-get update \\
    && apt-get install -y --no-install-recommends libexpat1 \\
    && rm -rf /var/lib/apt/lists/*
# A wheel or a git address does as well: --build-arg SWATH=...
ARG SWATH="{package}"
RUN pip install --no-cache-dir "$SWATH"
RUN useradd --create-home swath
USER swath
WORKDIR /home/swath
COPY --chown=swath . models/{name}
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", \
"import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["swath", "serve", "models/{name}", "--host", "0.0.0.0", "--port", "8000"]
"""


def write_endpoint_files(folder: Path, name: str) -> None:
    """Write `handler.py`, `requirements.txt` and `Dockerfile` into an exported folder.

    Args:
        folder: that is being exported.
        name: of the model, by which the container serves it.
    """
    package = f"swath[serve]=={version('swath')}"
    write_text(folder / "handler.py", HANDLER)
    write_text(folder / "requirements.txt", f"{package}\n")
    dockerfile = DOCKERFILE.format(name=safe_name(name).lower(), package=package)
    write_text(folder / "Dockerfile", dockerfile)
