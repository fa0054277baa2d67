"""Training files of small pictures, as both services take them."""

import base64
import io
import json

from PIL import Image as Picture

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


def picture(colour=(200, 30, 30), size_wh=(32, 32), kind="png"):
    stream = io.BytesIO()
    Picture.new("RGB", size_wh, colour).save(stream, kind)
    return stream.getvalue()


def uri(data=None, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(data or picture()).decode()}"


def shown(address=None):
    return {"type": "image_url", "image_url": {"url": address or uri()}}


def said(text):
    return {"type": "text", "text": text}


def line(*content, answer="farm", system=None):
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": list(content) or [shown(), said("What is it?")]}]
    return {"messages": [*messages, {"role": "assistant", "content": answer}]}


def coloured_lines(count=6):
    """Lines that ask the colour of pictures of which no two are the same."""
    lines = []
    for number in range(count):
        name = list(COLOURS)[number % 3]
        colour = [max(0, value - number) for value in COLOURS[name]]
        lines.append(line(shown(uri(picture(tuple(colour)))), said("What colour?"), answer=name))
    return lines


def jsonl(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def written(path, *rows):
    path.write_bytes(jsonl(*rows))
    return path
