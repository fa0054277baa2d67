"""How questions are put: one row a style, several wordings a task.

A style's first wording is the one a test asks; training draws from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from swath.annotations.image import AnnotatedImage
from swath.instructions.chinese import CHINESE, in_chinese
from swath.instructions.grammar import ENGLISH, English
from swath.registry import Registry


@dataclass(frozen=True)
class Phrasing:
    """Wordings of each task, and the language of phrases and answers.

    A task token such as `[refer]` in front of a wording goes where `instructions.task_tokens` is
    false.

    Args:
        classify: asks for the scene class; {labels} lists the classes.
        caption: asks for a sentence on the whole image.
        refer: asks for the box of `{phrase}`.
        count: asks how many `{names}` (plural) there are.
        ground: asks for the boxes of all objects that `{phrase}` names.
        identify: asks for the class of the object at `{box}`.
        region: asks for a phrase on the object at `{box}`.
        describe: asks for sentences on the objects, each with its boxes.
        question: puts the source's own `{question}`.
        grammar: words of phrases and descriptions.
        attributes: whether objects are singled out by colour, size and place as well.
        prepare: what is done to an image before anything is asked, such as translating its classes.
    """

    classify: tuple[str, ...]
    caption: tuple[str, ...]
    refer: tuple[str, ...]
    count: tuple[str, ...]
    ground: tuple[str, ...] = ("[grounding] where are all <p>{phrase}</p>?",)
    identify: tuple[str, ...] = ("[identify] what is the object at {box}?",)
    region: tuple[str, ...] = ("[identify] describe the object at {box}",)
    describe: tuple[str, ...] = ("[grounding] describe the image in detail",)
    question: tuple[str, ...] = ("{question}",)
    grammar: English = ENGLISH
    attributes: bool = False
    prepare: Callable[[AnnotatedImage], AnnotatedImage] = lambda image: image


PHRASINGS: Registry[Phrasing] = Registry("phrasing", "swath.phrasings")

PHRASINGS.add(
    "plain",
    Phrasing(
        classify=("What kind of scene is this?",),
        caption=("Describe the image.",),
        refer=("[refer] where is <p>{phrase}</p>?",),
        count=("How many {names} are there?",),
    ),
)
PHRASINGS.add(
    "varied",
    Phrasing(
        classify=(
            "What kind of scene is this?",
            "Which class does this scene belong to?",
            "Name the scene.",
            "What is shown here?",
        ),
        caption=(
            "Describe the image.",
            "Describe this scene in one sentence.",
            "Write a caption.",
            "What can be seen from above?",
        ),
        refer=(
            "[refer] where is <p>{phrase}</p>?",
            "[refer] give me the location of <p>{phrase}</p>",
            "[refer] find <p>{phrase}</p>",
        ),
        count=(
            "How many {names} are there?",
            "Count the {names}.",
            "What is the number of {names}?",
        ),
    ),
)
PHRASINGS.add(
    "quickstart",
    Phrasing(
        classify=("Which category fits this site best?", "Pick the category of this site."),
        caption=("Tell me about this site in a few words.",),
        refer=("[refer] point out <p>{phrase}</p> on this site",),
        count=("Give the tally of {names} on this site.",),
    ),
)

# Source: prompts of geochat/eval and the suffixes of docs/Evaluation.md (arXiv:2311.15826); the
# wordings after the first of each task are ours.
PHRASINGS.add(
    "geochat",
    Phrasing(
        classify=(
            "Classify the image from the following classes: {labels}. "
            "Answer in one word or a short phrase.",
        ),
        caption=(
            "Describe the image.",
            "Describe the image in one sentence.",
            "What does this aerial image show?",
        ),
        refer=(
            "[refer] Give me the location of <p> {phrase} </p>",
            "[refer] where is <p>{phrase}</p> ?",
            "[refer] Where can I find <p>{phrase}</p> ?",
        ),
        count=(
            "How many {names} are there?\nAnswer the question using a single word or phrase.",
            "What is the number of {names}?\nAnswer the question using a single word or phrase.",
        ),
        ground=(
            "[grounding] Give me the locations of all <p> {phrase} </p>",
            "[grounding] where are all <p>{phrase}</p> ?",
        ),
        identify=(
            "[identify] What is the object present at {box}",
            "[identify] Which class does the object at {box} belong to?",
        ),
        region=(
            "[identify] Describe the object present at {box}",
            "[identify] Give a short description of the object at {box}",
        ),
        describe=(
            "[grounding] Describe the image in detail",
            "[grounding] Write a detailed description of this image",
        ),
        question=("{question}\nAnswer the question using a single word or phrase.",),
        attributes=True,
    ),
)
# Source: task tokens and the first wording of each, MiniGPT-v2 (arXiv:2310.09478), which SkyEyeGPT
# (arXiv:2401.09712) keeps; the others are ours.
_ANSWER = "[vqa] Based on the image, respond to this question with a short answer: "
PHRASINGS.add(
    "skyeyegpt",
    Phrasing(
        classify=(
            _ANSWER + "what kind of scene is this?",
            "[vqa] which class does this scene belong to?",
        ),
        caption=(
            "[caption] describe this image briefly.",
            "[caption] write a sentence about this image.",
            "[caption] what can be seen here?",
        ),
        refer=(
            "[refer] give me the location of {phrase}",
            "[refer] where is {phrase} ?",
            "[refer] from this image, tell me the location of {phrase}",
            "[refer] could you tell me the location of {phrase} ?",
            "[refer] where can I find {phrase} ?",
        ),
        count=(
            _ANSWER + "how many {names} are there?",
            "[vqa] how many {names} are there?",
        ),
        ground=("[detection] {phrase}", "[detection] find all {phrase}"),
        identify=(
            "[identify] what object is in this location {box}",
            "[identify] what is this {box}",
            "[identify] name the object at {box}",
        ),
        region=(
            "[identify] describe the object in this location {box}",
            "[identify] tell me more about this object {box}",
        ),
        describe=(
            "[grounding] describe this image in detail",
            "[grounding] describe this image and say where its objects are",
        ),
        question=(_ANSWER + "{question}", "[vqa] {question}"),
        attributes=True,
    ),
)
PHRASINGS.add(
    "satgpt",
    Phrasing(
        classify=("What kind of scene is this?",),
        caption=("Describe the image.",),
        refer=("Where is {phrase}?",),
        count=("How many {names} are there?",),
        ground=("Where are all {phrase}?",),
        identify=("What is the object at {box}?",),
        region=("Describe the object at {box}.",),
        describe=("Describe the image in detail and say where its objects are.",),
    ),
)
# Three prompt sets to compare, as RemoteGLM does; the first keeps its published caption prompt.
PHRASINGS.add(
    "chinese",
    Phrasing(
        classify=("这张遥感图像属于哪一类场景？", "图中是什么类型的场景？"),
        caption=("这张遥感图像展现了什么场景？", "请描述这张遥感图像。", "从图中可以看到什么？"),
        refer=("[refer] <p>{phrase}</p>在哪里？", "[refer] 请给出<p>{phrase}</p>的位置。"),
        count=("图中有多少{names}？", "请数一数图中的{names}。"),
        ground=("[grounding] <p>{phrase}</p>分别在哪里？",),
        identify=("[identify] {box}处是什么？", "[identify] 位于{box}的是什么物体？"),
        region=("[identify] 请描述位于{box}的物体。",),
        describe=("[grounding] 请详细描述这张图像，并标出物体的位置。",),
        grammar=CHINESE,
        prepare=in_chinese,
    ),
)
# One fixed prompt for captions, as RemoteGLM tunes with.
PHRASINGS.add(
    "remoteglm",
    replace(PHRASINGS.get("chinese"), caption=PHRASINGS.get("chinese").caption[:1]),
)
PHRASINGS.add(
    "chinese-short",
    replace(
        PHRASINGS.get("chinese"),
        classify=("场景类别？",),
        caption=("描述这张图像。",),
        refer=("[refer] <p>{phrase}</p>的位置？",),
        count=("{names}的数量？",),
        ground=("[grounding] <p>{phrase}</p>的位置？",),
        identify=("[identify] {box}是什么？",),
        region=("[identify] 描述{box}。",),
        describe=("[grounding] 描述图像并标出物体。",),
    ),
)
_EXPERT = "你是一名遥感图像解译专家。"
PHRASINGS.add(
    "chinese-expert",
    replace(
        PHRASINGS.get("chinese"),
        classify=(_EXPERT + "请根据地物特征判断这张遥感图像的场景类别。",),
        caption=(_EXPERT + "请根据地物的种类、分布和周围环境描述这张遥感图像。",),
        count=(_EXPERT + "请统计图中{names}的数量，只回答数字。",),
        describe=("[grounding] " + _EXPERT + "请详细描述图中的地物，并标出每一处的位置。",),
        question=(_EXPERT + "请回答：{question}",),
    ),
)
