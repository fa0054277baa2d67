"""The table of chat templates: how a family frames turns, for checkpoints that bring none.

A template gets each turn's content as a string in which the image token stands where the image is.
It ends every answer with the end token, without which a tuned model would never stop. A space
before the answer belongs to the answer: a question that ended with one would be cut into other
tokens than the same words in a whole conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import UndefinedError

from swath.models.foreign_templates.limited_rendering import TemplateError, rendered
from swath.registry import Registry


@dataclass(frozen=True)
class Template:
    """One framing of turns.

    Args:
        jinja: the template, as `transformers` renders it.
        tokens: control tokens it writes, which a tokenizer made for it must hold.
        end: the token that ends an answer.
    """

    jinja: str
    tokens: tuple[str, ...] = ()
    end: str = "</s>"


_DONE = "{% endfor %}"
_ANSWER = "{% generation %}{{ said.text + eos_token }}{% endgeneration %}"


def _loop(image: str = "<image>") -> str:
    """Over messages, `said.text` being the words: of strings, or of the lists that others send."""
    parts = (
        "{% for part in message['content'] %}{% set said.text = said.text + "
        f"('{image}\n' if part['type'] == 'image' else part['text']) %}}{{% endfor %}}"
    )
    return (
        "{% set said = namespace(text='') %}{% for message in messages %}"
        "{% if message['content'] is string %}{% set said.text = message['content'] %}"
        f"{{% else %}}{{% set said.text = '' %}}{parts}{{% endif %}}"
    )


def _chatml(image: str, words: str) -> str:
    """Turns between <|im_start|> and <|im_end|>; `words` is what stands in one that asks."""
    return (
        _loop(image) + "{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ said.text + '<|im_end|>' }}{% endgeneration %}"
        f"{{% else %}}{{{{ {words} + '<|im_end|>' }}}}{{% endif %}}"
        "{{ '\n' }}" + _DONE + "{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


def _turns(
    begin: str,
    system: str,
    user: str,
    assistant: str,
    opening: str,
    image: str = "<image>",
    after: str = "",
) -> str:
    """A template of three kinds of turns; `assistant` stands before and `after` behind answers."""
    return (
        f"{begin}{_loop(image)}{{% if message['role'] == 'system' %}}{system}"
        f"{{% elif message['role'] == 'user' %}}{user}"
        f"{{% else %}}{assistant}{_ANSWER}{after}{{% endif %}}{_DONE}"
        f"{{% if add_generation_prompt %}}{opening}{{% endif %}}"
    )


_CONTENT = "{{ said.text }}"
_BEFORE_THE_FIRST = (
    "{% if loop.index0 == 1 and messages[0]['role'] == 'system' %}"
    "{{ messages[0]['content'] + '\n\n' }}{% endif %}"
)
_VICUNA = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)

_TEMPLATES = {
    "nano": Template(
        _turns(
            "{{ bos_token }}",
            "<|system|>" + _CONTENT,
            "<|user|>" + _CONTENT,
            "<|assistant|>",
            "<|assistant|>",
        ),
        ("<|system|>", "<|user|>", "<|assistant|>"),
    ),
    # LLaVA-1.5 and GeoChat (conv_mode llava_v1): a system turn replaces Vicuna's own.
    "vicuna": Template(
        _turns(
            "{{ bos_token }}{% if messages[0]['role'] != 'system' %}" + _VICUNA + "{% endif %}",
            _CONTENT,
            "{{ ' USER: ' + said.text }}",
            "{{ ' ASSISTANT: ' }}",
            " ASSISTANT:",
        )
    ),
    # Mistral's own puts the system instruction before the last question, so a conversation's
    # beginning would change as it goes on; here it stands before the first.
    "pixtral": Template(
        _turns(
            "{{ bos_token }}",
            "",
            "{{ '[INST]' }}" + _BEFORE_THE_FIRST + _CONTENT + "{{ '[/INST]' }}",
            "",
            "",
            "[IMG]",
        ),
        ("[INST]", "[/INST]"),
    ),
    # MiniGPT-v2 and SkyEyeGPT: every question begins anew, and all its pictures stand in one <Img>.
    "minigpt": Template(
        _turns(
            "{{ bos_token }}",
            "{{ said.text + ' ' }}",
            "{% set pictures = '<image>' * said.text.count('<image>') %}"
            "{% set first = 1 if messages[0]['role'] == 'system' else 0 %}"
            "{{ (bos_token if loop.index0 > first else '') + '[INST] ' "
            "+ ('<Img>' + pictures + '</Img> ' if pictures else '') "
            "+ (said.text | replace('<image>\n', '') | replace('<image>', '')) + ' [/INST]' }}",
            " ",
            "",
        )
    ),
    "glm": Template(
        _turns(
            "[gMASK]<sop>",
            "<|system|>\n" + _CONTENT,
            "<|user|>\n" + _CONTENT,
            "<|assistant|>\n",
            "<|assistant|>\n",
        ),
        ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
        end="<|endoftext|>",
    ),
    "glm4v": Template(
        _turns(
            "[gMASK]<sop>",
            "<|system|>\n" + _CONTENT,
            "<|user|>\n{{ said.text | replace('<|image|>\n', "
            "'<|begin_of_image|><|image|><|end_of_image|>') }}",
            "<|assistant|>\n",
            "<|assistant|>\n",
            "<|image|>",
        ),
        (
            *("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"),
            *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_box|>", "<|end_of_box|>"),
        ),
        end="<|endoftext|>",
    ),
    # SmolLM2's own, but for the instruction that it puts before every conversation.
    "chatml": Template(
        _chatml("<image>", "said.text"), ("<|im_start|>", "<|im_end|>"), end="<|im_end|>"
    ),
    "internvl": Template(
        _chatml("<IMG_CONTEXT>", "said.text"), ("<|im_start|>", "<|im_end|>"), end="<|im_end|>"
    ),
    # Gemma knows no system turn: the instruction stands before the first question.
    "gemma": Template(
        _turns(
            "{{ bos_token }}",
            "",
            "{{ '<start_of_turn>user\n' }}" + _BEFORE_THE_FIRST + "{{ said.text "
            "| replace('<image_soft_token>\n', '<image_soft_token>') + '<end_of_turn>\n' }}",
            "{{ '<start_of_turn>model\n' }}",
            "{{ '<start_of_turn>model\n' }}",
            "<image_soft_token>",
            "{{ '\n' }}",
        ),
        ("<start_of_turn>", "<end_of_turn>"),
        end="<end_of_turn>",
    ),
    # PaliGemma was made for one question and one answer; the pictures stand before all words.
    "paligemma": Template(
        _turns(
            "",
            "",
            "{% set pictures = '<image>' * said.text.count('<image>') %}{{ pictures + bos_token }}"
            + _BEFORE_THE_FIRST
            + "{{ (said.text | replace('<image>\n', '') | replace('<image>', '')) + '\n' }}",
            "",
            "",
        )
    ),
    "qwen": Template(
        _chatml(
            "<|image_pad|>",
            "(said.text | replace('<|image_pad|>\n', "
            "'<|vision_start|><|image_pad|><|vision_end|>'))",
        ),
        ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
        end="<|im_end|>",
    ),
    "smolvlm": Template(
        "<|im_start|>" + _loop() + "{{ message['role'] | capitalize }}"
        "{% if said.text.startswith('<image>') %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ said.text + '<end_of_utterance>' }}{% endgeneration %}"
        "{% else %}{{ (said.text | replace('<image>\n', '<image>')) "
        "+ '<end_of_utterance>' }}{% endif %}"
        "{{ '\n' }}" + _DONE + "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
        ("<|im_start|>", "<end_of_utterance>"),
        end="<end_of_utterance>",
    ),
    # Models made for one question and one answer, such as a ViT before GPT-2. What documents say
    # stands before an empty line, and goes in front of the prefix.
    "question": Template(
        _turns(
            "{{ bos_token }}",
            "{{ said.text + ' ' }}",
            "{% set pieces = said.text.rpartition('\n\n') %}"
            "{{ pieces[0] + pieces[1] + 'Question: ' + pieces[2] }}",
            "{{ ' Answer: ' }}",
            " Answer:",
        )
    ),
    # BLIP-2's: the image stands before the beginning of the words.
    "blip": Template(
        _turns(
            "",
            "{{ said.text + ' ' }}",
            "{{ (said.text | replace('<image>\n', '<image>' + bos_token + 'Question: ')) if "
            "'<image>' in said.text else 'Question: ' + said.text }}",
            "{{ ' Answer: ' }}",
            " Answer:",
        )
    ),
}

TEMPLATES: Registry[Template] = Registry("chat template", "swath.templates", _TEMPLATES)


def render(
    tokenizer: Any,
    turns: Sequence[tuple[str, str]],
    ask: bool,
    in_parts: bool = False,
    image_token: str = "",
) -> str:
    """Turns of (role, content) as the tokenizer's chat template frames them.

    Args:
        ask: end with the opening of the assistant's turn.
        in_parts: the template takes contents as lists of images and texts, not as strings.
        image_token: what stands for an image in a content; in parts it becomes one of its own.

    Raises:
        TemplateError: a checkpoint's own template fails on these turns.
        ModelError: it takes more time or memory than a template may.
    """
    messages: list[dict[str, Any]] = []
    for role, content in turns:
        if not in_parts:
            messages.append({"role": role, "content": content})
            continue
        pieces = content.split(image_token) if image_token else [content]
        parts = [{"type": "image"}] * (len(pieces) - 1)
        words = "".join(pieces).removeprefix("\n")
        messages.append({"role": role, "content": [*parts, {"type": "text", "text": words}]})
    template = tokenizer.get_chat_template()
    if template in {row.jinja for _, row in TEMPLATES.items()}:
        try:
            return str(
                tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
            )
        except UndefinedError as error:  # a token that this tokenizer lacks
            raise TemplateError(f"{tokenizer.name_or_path}: its chat template: {error}.") from None
    given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": ask}
    order = {"template": template, **tokenizer.special_tokens_map, **given}
    return rendered(order, tokenizer.name_or_path)


_PROBE = (("system", "qsystem"), ("user", "qfirst"), ("assistant", "qanswer"), ("user", "qlast"))


def takes_parts(tokenizer: Any) -> bool:
    """Whether the template reads contents as lists of parts: as a string, their words get lost."""
    try:
        return "qfirst" not in render(tokenizer, _PROBE[1:2], ask=True)
    except TemplateError:
        return True


def serves(tokenizer: Any, image_token: str = "") -> bool:
    """Whether a checkpoint's own template can be tuned with.

    It must keep the system instruction, write a beginning the same way whatever follows, end an
    answer with a token that the tokenizer knows as special, and write `image_token` for an image.

    Raises:
        ModelError: it takes more time or memory than a template may.
    """
    in_parts = takes_parts(tokenizer)
    try:
        asked, answered, on = (render(tokenizer, _PROBE[:n], n == 2, in_parts) for n in (2, 3, 4))
        shown = [("user", f"{image_token}\nqshown")]
        pictured = image_token in render(tokenizer, shown, True, in_parts, image_token)
    except TemplateError:
        return False
    steady = on.startswith(answered) and answered.startswith(asked)
    return steady and pictured and "qsystem" in asked and bool(ending(tokenizer))


def ending(tokenizer: Any) -> str:
    """The token with which the template ends an answer; "" where it writes none."""
    text = render(tokenizer, _PROBE[1:3], False, takes_parts(tokenizer))
    after = text.partition("qanswer")[2]
    places = {after.find(token): token for token in tokenizer.all_special_tokens if token in after}
    return places[min(places)] if places else ""
