"""Sections on what is learnt from: imagery, annotations, instructions."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from swath.recipe.section import Section

Limits = tuple[float, float]
Balanced = Literal[
    "presence", "comparison", "area", "rural_urban", "position", "relation", "premise"
]


class Rendering(Section):
    """How stored values become 8-bit colours; kept with the model, which is asked with the same."""

    bands: list[int | str] | None = Field(
        None,
        description="One band for grey or three for red, green and blue, by number from 1 or by "
        "name as in [nir, red, green]; nothing: those declared as colours, else the first three.",
    )
    stretch: Literal["auto", "percentile", "range", "none"] = Field(
        "auto",
        description="`auto`: `none` for 8-bit values, else `percentile`; nodata never counts.",
    )
    percentiles: Limits = Field((2.0, 98.0), description="Shown black and white by `percentile`.")
    range: Limits | list[Limits] | None = Field(
        None,
        description="Values shown black and white by `range`, for all bands or one pair a band; "
        "in the file's units, its scale and offset applied.",
    )
    gamma: float = Field(1.0, gt=0, le=10, description="More than 1 lightens, less darkens.")
    decibel: Literal["amplitude", "power"] | None = Field(
        None, description="Radar values to decibels before the stretch: 20 or 10 times log10."
    )

    @model_validator(mode="after")
    def _whole(self) -> Rendering:
        if self.bands is not None and len(self.bands) not in (1, 3):
            raise ValueError("bands names one band or three")
        if (self.stretch == "range") != (self.range is not None):
            raise ValueError("range holds the values of stretch=range; give both or neither")
        if any(low >= high for low, high in [self.percentiles, *self.ranges]):
            raise ValueError("black is to be less than white, in percentiles and in range")
        if self.percentiles[0] < 0 or self.percentiles[1] > 100:
            raise ValueError("percentiles lie between 0 and 100")
        if len(self.ranges) > 1 and len(self.ranges) != len(self.bands or ()):
            raise ValueError("range has one pair, or one for each of bands")
        return self

    @property
    def ranges(self) -> list[Limits]:
        """The pairs of `range`."""
        if isinstance(self.range, tuple):
            return [self.range]
        return self.range or []


class Imagery(Section):
    """How pixels reach the model."""

    cache_px: int = Field(
        128, ge=32, le=2048, description="Longest side, in pixels, at which images are held."
    )
    image_px: int | None = Field(
        None, ge=16, le=4096, description="Side the model sees; nothing: the base's own."
    )
    fit: Literal["pad", "centre_crop"] = Field(
        "pad", description="How an oblong image becomes square; `centre_crop` loses its ends."
    )
    frames: int = Field(8, gt=0, le=64, description="Frames taken of a video, evenly spaced.")
    rendering: Rendering = Field(default_factory=Rendering, description="Stored values to colours.")


class Drawn(Section):
    """Scenes drawn by swath itself, with everything in them known."""

    kinds: str = Field("quickstart", description="Which set of scene kinds to draw.")
    frames: int = Field(
        1, ge=1, le=16, description="Frames a scene; more than 1: sequences in which things move."
    )
    change: bool = Field(
        False, description="Pairs before and after, with tents put up or taken down."
    )
    places: bool = Field(
        False,
        description="GeoTIFFs of water and land with ships and storage tanks, to be cut by "
        "`tile_px`, instead of scenes of those kinds.",
    )
    count: int = Field(800, gt=0, description="How many scenes.")
    size_px: int = Field(112, ge=48, le=2048, description="Side of a scene in pixels.")


class Annotations(Section):
    """Where images and labels come from, and how they are split."""

    source: str | list[str] | None = Field(
        None, description="Folder or file of the annotations, or several; nothing for drawn scenes."
    )
    format: str = Field("auto", description="Reader; `auto` recognises it by looking.")
    class_field: str = Field(
        "", description="Property of vector features that holds the class; nothing: looked for."
    )
    drawn: Drawn | None = Field(None, description="Draw scenes instead of reading a source.")
    classes: dict[str, str | None] = Field(
        default_factory=dict, description="Rename classes; null leaves a class out."
    )
    partial: list[str] = Field(
        default_factory=list,
        description="Classes of which not every object has a box: they are not counted, nor said "
        "to be absent.",
    )
    split: dict[str, float] = Field(
        default_factory=lambda: {"train": 0.8, "val": 0.0, "test": 0.2},
        description="Shares of the splits when the source does not bring its own.",
    )
    keep_given_split: bool = Field(True, description="Use the source's own split where it has one.")
    split_by: Literal["image", "scene", "place"] = Field(
        "scene", description="What stays in one split when dealt here; `place`: blocks of ground."
    )
    block_m: float = Field(2000.0, gt=0, description="Side of a block of ground in metres.")
    licence: str | dict[str, str] | None = Field(
        None, description="Where files do not say it: of all sources, or {source: licence}."
    )
    tile_px: int | None = Field(
        None,
        ge=16,
        description="Cut larger images into tiles of this side; by place before splitting.",
    )
    overlap_px: int = Field(0, ge=0, description="Pixels that neighbouring tiles share at least.")
    visible: float = Field(
        0.5, gt=0, le=1, description="Least share of an object's box that a tile keeps it for."
    )
    cut_off: Literal["unlisted", "ignored"] = Field(
        "unlisted",
        description="Of an object that a tile shows less of: `unlisted`: its class is not counted "
        "there, nor referred to, nor said to be absent; `ignored`: as if it were not seen, for "
        "tuning a detector.",
    )
    limit: int | None = Field(None, gt=0, description="At most so many images, evenly taken.")
    limit_per_class: int | None = Field(None, gt=0, description="At most so many images a class.")
    unreadable: Literal["refuse", "drop"] = Field(
        "refuse", description="What to do with images that cannot be opened; dropped are listed."
    )
    allow_leakage: bool = Field(
        False, description="Tune although identical images stand in train and test; it is reported."
    )


class Writer(Section):
    """A language model behind an OpenAI-compatible endpoint that rewrites what people wrote."""

    endpoint: str = Field(description="Its address, as in http://127.0.0.1:8000/v1.")
    model: str = Field(description="Name of the model there.")
    steps: tuple[Literal["join", "concatenate", "rewrite", "translate"], ...] = Field(
        ("join", "translate"),
        description="`join` has one text made of an image's captions, `concatenate` puts them one "
        "after the other, `rewrite` varies each; empty: captions stay as they are.",
    )
    captions: int | None = Field(
        None, gt=0, description="Images of fewer captions repeat theirs until they have so many."
    )
    language: str = Field("Chinese", description="What `translate` writes.")
    prompt: str | None = Field(
        None, description="Instead of swath's own instruction to `rewrite`; {text} is the caption."
    )
    conversations: tuple[Literal["dialogue", "detail", "reasoning"], ...] = Field(
        (),
        description="Written about each training image from its captions and objects; what says "
        "more than those is listed in rejects.jsonl and left out.",
    )
    key: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    at_once: int = Field(4, gt=0, le=64, description="Requests under way at the same time.")
    timeout_s: float = Field(180.0, gt=0, description="Longest wait for an answer to end.")
    prices: tuple[float, float] = Field(
        (0.0, 0.0), description="Of a million tokens read and of a million written."
    )
    max_cost: float | None = Field(
        None, gt=0, description="Ask no more once the answers so far have cost so much."
    )

    @model_validator(mode="after")
    def _counted(self) -> Writer:
        if self.max_cost is not None and not any(self.prices):
            raise ValueError("max_cost needs the prices")
        return self

    @property
    def translates(self) -> bool:
        """Whether what is written is in `language` and not in English."""
        return "translate" in self.steps


class Conversations(Section):
    """Conversations that stand in files already, with their pictures as base64."""

    train: list[str] = Field(min_length=1, description="JSONL files, as tuning APIs take them.")
    val: list[str] = Field(default_factory=list, description="Those for `validate_every`.")
    style: Literal["openai", "mistral"] = Field("openai", description="Whose notation they keep.")
    skip_invalid: float = Field(
        0.0, ge=0, lt=1, description="Share of a file's lines that may be bad, and are left out."
    )


class Documents(Section):
    """What a team's own documents say of a question, shown before it."""

    index: str = Field(description="Folder that `swath index` wrote.")
    passages: int = Field(3, gt=0, le=20, description="Passages shown at most.")
    tasks: tuple[str, ...] = Field(
        ("question",), min_length=1, description="Tasks whose questions they stand before."
    )


class Instructions(Section):
    """Which questions are asked about the images."""

    conversations: Conversations | None = Field(
        None, description="Learn from these files instead of asking about annotated images."
    )

    tasks: list[str] = Field(
        default_factory=lambda: ["classify", "caption", "refer", "count"],
        description="Rows of the task table; those without annotations are left out.",
    )
    phrasing: str = Field("plain", description="Row of the phrasing table: how questions are put.")
    system: str | None = Field(
        None,
        description="Instruction before the first question; {labels} lists the classes, "
        "{labels;} with semicolons.",
    )
    answer: Literal["text", "json", "fenced"] = Field(
        "text",
        description="`json`: classify answers with `image_description` and `label`; `fenced`: the "
        "same within ```json and ```.",
    )
    captions_per_image: int = Field(5, gt=0, description="At most so many captions an image.")
    boxes_per_image: int = Field(4, gt=0, description="At most so many refer questions an image.")
    counts_per_image: int = Field(2, gt=0, description="At most so many count questions an image.")
    balance: list[Balanced] = Field(
        default_factory=lambda: list(get_args(Balanced)),
        description="Kinds of questions of which those are left out that words alone would answer: "
        "as many yes as no about the same classes. What was left out is counted on the card.",
    )
    absent: bool = Field(
        False, description="Ask `ground` of an absent class as well; the answer is `none`."
    )
    turns: int = Field(
        1, gt=0, description="Join training rows of one image into conversations of so many turns."
    )
    colours: bool = Field(
        True,
        description="Whether phrases may name colours, for which every picture is read once.",
    )
    task_tokens: bool = Field(
        True, description="Whether questions carry task tokens such as [refer]."
    )
    writer: Writer | None = Field(None, description="Rewrite captions with a language model.")
    documents: Documents | None = Field(None, description="Show what documents say of a question.")
    reviewed: list[str] = Field(
        default_factory=list,
        description="Folders of `swath scan --to-review`; tiles judged there are learnt from.",
    )
