"""The page in each of its languages, and the application that serves it behind the guard."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from swath.inference.scenes.scan_outputs import MAP
from swath.serving.access import Access, Doorman
from swath.serving.studio.components import STYLE, head
from swath.serving.studio.desk import Desk
from swath.serving.studio.guard import Guard
from swath.serving.studio.page_words import LANGUAGES, Words
from swath.serving.studio.pictures import FILES, ROUTE
from swath.serving.studio.tabs.chat_tab import chat_tab
from swath.serving.studio.tabs.compare_tab import compare_tab
from swath.serving.studio.tabs.data_tab import data_tab
from swath.serving.studio.tabs.dates_tab import dates_tab
from swath.serving.studio.tabs.scene_tab import scene_tab
from swath.serving.studio.tabs.tune_tab import tune_tab

LARGEST_UPLOAD = 256 << 20
"""Bytes of a file that is handed to the page; larger ones are named by their path."""

_FORGET_S = 3600
_LOOK_S = 600

Tab = Callable[[Desk, Words, gr.Blocks], None]
TABS: dict[str, Tab] = {
    "data": data_tab,
    "tune": tune_tab,
    "compare": compare_tab,
    "chat": chat_tab,
    "scene": scene_tab,
    "dates": dates_tab,
}
"""The tabs from left to right; further ones add a row."""


def studio(
    home: Path, port: int, secret: str, language: str | None = None, first: str = ""
) -> Doorman:
    """The studio as an application.

    Args:
        home: folder of the experiments.
        port: the one it is served at.
        secret: what its address brings.
        language: "en" or "zh"; None: what the browser prefers.
        first: the experiment whose set is shown first; "" for the one last built.
    """
    uploads = tempfile.mkdtemp(prefix="swath-studio-")
    os.environ["GRADIO_TEMP_DIR"] = uploads
    desk = Desk.of(home, first)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        shutil.rmtree(uploads, ignore_errors=True)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def front(request: Request) -> RedirectResponse:
        preferred = request.headers.get("accept-language", "")
        chinese = preferred.lower().startswith("zh")
        return RedirectResponse(f"/{language or ('zh' if chinese else 'en')}/")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get(ROUTE + "{name}")
    def picture(name: str) -> Response:
        content = desk.pictures.jpeg(name)
        if content is None:
            return Response(status_code=404)
        return Response(content, media_type="image/jpeg")

    @app.get(FILES + "{name}")
    def result(name: str) -> Response:
        path = desk.pictures.file(name)
        if path is None:
            return Response(status_code=404)
        if path.name == MAP:  # shown in a frame that shares nothing with the page
            return FileResponse(path, headers={"content-security-policy": "sandbox allow-scripts"})
        return FileResponse(path, filename=path.name)

    for code in LANGUAGES:
        blocks = _blocks(desk, Words(code))
        gr.mount_gradio_app(
            app,
            blocks,
            path=f"/{code}",
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=_theme(),
            css_paths=[STYLE],
        )
    return Doorman(Guard(app, port, secret), Access(upload_bytes=LARGEST_UPLOAD))


def _blocks(desk: Desk, words: Words) -> gr.Blocks:
    with gr.Blocks(
        analytics_enabled=False,
        title=words("page.title"),
        fill_width=True,
        delete_cache=(_LOOK_S, _FORGET_S),
    ) as blocks:
        _head(desk, words)
        with gr.Tabs():
            for name, build in TABS.items():
                with gr.Tab(words(f"{name}.tab"), elem_id=f"tab-{name}"):
                    build(desk, words, blocks)
    return blocks


def _head(desk: Desk, words: Words) -> None:
    """The page's name, its folder, and the way to the other language."""
    (second,) = set(LANGUAGES) - {words.language}
    about = words("page.home", home=desk.home)
    head(words("page.title"), about, words("page.other"), f"/{second}/")


def _theme() -> gr.themes.Base:
    """Gradio's plain theme in the fonts of the reader's machine."""
    return gr.themes.Base(
        primary_hue="cyan",
        neutral_hue="stone",
        font=["system-ui", "Segoe UI", "Noto Sans CJK SC", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
