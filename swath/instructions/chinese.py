"""Chinese: names of common classes, phrases and sentences, and captions of drawn scenes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from swath.annotations.drawn import SOURCE as DRAWN
from swath.annotations.image import AnnotatedImage
from swath.instructions.grammar import English, Look, is_chinese, spoken

_COLOURS = {
    "black": "黑色", "gray": "灰色", "white": "白色", "red": "红色", "orange": "橙色",
    "brown": "棕色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色",
}  # fmt: skip
_SIZES = {"small": "小型", "large": "大型", "smallest": "最小的", "largest": "最大的"}

# Scene classes of AID, UC Merced, Sydney and of swath's drawings, and common object classes.
_WORDS = {
    "agricultural": "农田", "airplane": "飞机", "airport": "机场", "bare land": "裸地",
    "baseball diamond": "棒球场地", "baseball field": "棒球场", "basketball court": "篮球场",
    "beach": "海滩", "bridge": "桥梁", "building": "建筑物", "buildings": "建筑物群",
    "bus": "公交车", "car": "汽车", "center": "中心建筑", "chaparral": "灌木丛", "church": "教堂",
    "circular field": "圆形农田", "commercial": "商业用地", "commercial area": "商业区",
    "container yard": "集装箱堆场", "dense residential": "密集住宅",
    "dense residential area": "密集住宅区", "desert": "沙漠", "dome": "圆顶", "farmland": "耕地",
    "fish farm": "养鱼场", "fish pen": "网箱", "forest": "森林", "fountain": "喷泉",
    "freeway": "高速公路", "gantry crane": "龙门吊", "golf course": "高尔夫球场",
    "harbor": "港湾", "helicopter": "直升机", "heliport": "直升机场", "house": "房屋",
    "industrial": "工业用地", "industrial area": "工业区", "intersection": "十字路口",
    "large vehicle": "大型车辆", "meadow": "草地", "medium residential": "中密度住宅",
    "medium residential area": "中密度住宅区", "minibus": "小型客车",
    "mobile home park": "活动房屋区", "mountain": "山地", "ocean": "海洋", "orchard": "果园",
    "overpass": "立交桥", "park": "公园", "parking": "停车位", "parking lot": "停车场",
    "plane": "飞机", "playground": "操场", "pond": "池塘", "port": "港口",
    "quarry": "采石场", "railway station": "火车站", "residential": "住宅区",
    "resort": "度假村", "river": "河流", "roundabout": "环岛",
    "runway": "跑道", "running track": "田径跑道", "school": "学校", "ship": "船只",
    "small vehicle": "小型车辆", "solar array": "太阳能电池阵", "solar plant": "太阳能电站",
    "sparse residential": "稀疏住宅", "sparse residential area": "稀疏住宅区", "square": "广场",
    "stadium": "体育场", "storage tank": "储油罐", "storage tanks": "储油罐区",
    "swimming pool": "游泳池", "tennis court": "网球场", "train": "火车", "truck": "卡车",
    "viaduct": "高架桥", "wind farm": "风电场", "wind turbine": "风力发电机",
}  # fmt: skip
_COUNTERS = {
    "飞机": "架", "直升机": "架", "船只": "艘", "汽车": "辆", "卡车": "辆", "公交车": "辆",
    "小型客车": "辆", "大型车辆": "辆", "小型车辆": "辆", "火车": "列", "网箱": "个",
    "储油罐": "个", "太阳能电池阵": "组", "风力发电机": "台", "龙门吊": "台", "房屋": "栋",
    "建筑物": "栋", "田径跑道": "条", "游泳池": "个", "池塘": "个", "棒球场地": "个",
    "圆形农田": "块",
}  # fmt: skip
_JOINED = {word.replace(" ", ""): chinese for word, chinese in _WORDS.items()}
_DIGITS = "零一二三四五六七八九"
_PHRASE = re.compile(r"(?:the )?(?:(?P<trait>[a-z]+) )?(?P<name>[a-z ]+)")


class Chinese(English):
    """Phrases and sentences in Chinese."""

    space = ""
    yes, no = "有", "没有"
    places = ("左上角", "上方", "右上角", "左侧", "中央", "右侧", "左下角", "下方", "右下角")

    def the(self, look: Look) -> str:
        """The one object of that look, which needs no article."""
        return self._where(look) + self._words(look, spoken(look.name))

    def one(self, look: Look) -> str:
        """Some object of that look, with its counter."""
        words = self._words(look, spoken(look.name))
        return f"{self._where(look)}一{_counter(look.name)}{words}"

    def group(self, look: Look, count: int) -> str:
        """So many objects of that look, with their counter."""
        return f"{count}{_counter(look.name)}{self._words(look, spoken(look.name))}"

    def all(self, name: str) -> str:
        """The class as what all boxes are asked of."""
        return f"所有{spoken(name)}"

    def is_there(self, name: str) -> str:
        """Asks whether there is any object of a class."""
        return f"图中有{spoken(name)}吗？"

    def related(self, count: int, relation: str) -> str:
        """That group 0 is inside or next to group 1."""
        return f"{{0}}位于{{1}}{'里' if relation == 'inside' else '旁边'}。"

    def placed(self, count: int, place: int) -> str:
        """Where in the image group 0 is."""
        return f"{{0}}位于图像{self.places[place]}。"

    def there_are(self, counts: Sequence[int]) -> str:
        """That there are these groups."""
        return f"图中有{'、'.join(f'{{{place}}}' for place in range(len(counts)))}。"

    def crowd(self, name: str) -> str:
        """That there are too many of a class to point at each."""
        return f"图中有许多{spoken(name)}。"

    def _words(self, look: Look, noun: str) -> str:
        return _SIZES.get(look.size or "", "") + _COLOURS.get(look.colour or "", "") + noun

    def _where(self, look: Look) -> str:
        where = f"{self.places[look.place]}的" if look.place is not None else ""
        if look.relation is None:
            return where
        how, other = look.relation
        return f"{where}{spoken(other)}{'里' if how == 'inside' else '旁边'}的"


CHINESE = Chinese()


def translated(word: str) -> str:
    """The Chinese name of a common class, however its words are joined; another stays as it is."""
    return _JOINED.get(spoken(word).replace(" ", ""), word)


def in_chinese(image: AnnotatedImage) -> AnnotatedImage:
    """The image with its classes and simple phrases in Chinese, where they are known.

    Captions and questions stay in the language they were written in, for which there is
    `instructions.writer`; those of a drawn scene are made anew from its class and objects.
    """
    drawn = image.source == DRAWN and not any(is_chinese(text) for text in image.captions)
    chinese = replace(
        image,
        label=None if image.label is None else translated(image.label),
        names=tuple(translated(name) for name in image.names),
        phrases=tuple(phrase and _phrase(phrase) for phrase in image.phrases),
    )
    return replace(chinese, captions=_captions(chinese)) if drawn and image.captions else chinese


def _phrase(phrase: str) -> str:
    """ "the red ship" as "红色船只"; words that are not known leave the phrase as it is."""
    if phrase.removeprefix("the ") in _WORDS:
        return _WORDS[phrase.removeprefix("the ")]
    found = _PHRASE.fullmatch(phrase)
    trait = (_COLOURS | _SIZES).get(found["trait"] or "") if found else None
    if found is None or trait is None or found["name"] not in _WORDS:
        return phrase
    return trait + _WORDS[found["name"]]


def _captions(image: AnnotatedImage) -> tuple[str, ...]:
    """Sentences true of a drawn scene: its class, and what of its objects is boxed."""
    label = image.label or "地面"
    things = [
        f"{_number(count)}{_counter(name)}{name}"
        for name, count in sorted(Counter(image.names).items(), key=lambda pair: pair[1])
        if name != image.label
    ]
    made = []
    if things:
        what = "和".join(things[:2])
        made = [f"{label}里有{what}。", f"可以看到{label}里的{what}。"]
    made += [f"这是一幅{label}的遥感图像。", f"图中是一处{label}。", f"从空中看到的是{label}。"]
    return tuple(made)


def _counter(name: str) -> str:
    return _COUNTERS.get(name, "个")


def _number(count: int) -> str:
    """A count in words, as it stands before a counter; more than ten in figures."""
    if count == 2:
        return "两"
    return _DIGITS[count] if count < 10 else "十" if count == 10 else str(count)
