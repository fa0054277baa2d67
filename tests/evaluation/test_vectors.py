"""Every file of the reference implementations, whatever it measures, within its tolerance."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from swath.boxes import Boxes, iou, iou_hbb
from swath.dialect import DIALECTS
from swath.evaluation.metrics import (
    classification,
    clipscore,
    counting,
    detection,
    grounding,
    matching,
    meteor,
    ngrams,
    statistics,
)
from swath.evaluation.metrics import short_answers as questions
from swath.evaluation.metrics.base import mean_of
from swath.evaluation.metrics.ptb import tokenise
from swath.evaluation.papers import modes, protocols
from swath.evaluation.papers import reading_rules as rules
from tests.evaluation.making import named, predicted

SKIPPED = {
    "SPICE": "needs Stanford CoreNLP 3.6.0, which pycocoevalcap fetches and does not hold",
    "CLIPScore": "published of two photographs that are not at hand; see clipscore.json",
    "RefCLIPScore": "as CLIPScore",
    "scipy_bca95": "informative: another interval than the one reported",
    "win_rate_a": "one minus p_one_sided, ties aside",
    "wilson95": "the exact interval is reported",
    "chi2": "McNemar's test is exact",
    "chi2_corrected": "as chi2",
    "xview2": "scores masks, which no task of swath answers with",
}
"""Values and kinds of files that swath does not compute, and why."""


class Checker:
    """Compares values of one file, and knows which it has seen."""

    def __init__(self, file):
        self.name, self.tolerance, self.seen = file["name"], file.get("tolerance", 1e-9), 0

    def same(self, ours, theirs, where=""):
        tolerance = self.tolerance
        theirs = 0.0 if theirs is None else theirs
        ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
        off = np.abs(ours - theirs)
        allowed = tolerance * np.maximum(1, np.abs(theirs))
        assert (off <= allowed).all(), f"{self.name}: {where}: {ours} is not {theirs}"
        self.seen += 1

    def fields(self, ours, theirs, where=""):
        """Every value of `theirs` is among ours, or among those skipped by name."""
        unknown = theirs.keys() - ours.keys() - SKIPPED.keys()
        assert not unknown, f"{self.name}: {where}: {unknown} is not computed"
        for key in theirs.keys() - SKIPPED.keys():
            self.same(ours[key], theirs[key], f"{where}{key}")


def column(cases, key):
    return [case["expected"][key] for case in cases]


def caption_corpus(file, check):
    cases, corpus = file["cases"], file["expected_corpus"]
    answers, references = [c["hyp_tok"] for c in cases], [c["refs_tok"] for c in cases]
    some = ngrams.Sentences.of(answers, references)
    rows = ngrams.bleu_rows(some)
    each = {f"Bleu_{n}": ngrams.bleu(rows, n) for n in range(1, 5)}
    whole = {f"Bleu_{n}": ngrams.bleu(rows.sum(axis=0), n) for n in range(1, 5)}
    each |= {"ROUGE_L": ngrams.rouge_l(some), "CIDEr": ngrams.cider(some)}
    each["CIDEr_plain"] = ngrams.cider(some, plain=True)
    if "METEOR" in corpus:
        stats = meteor.meteor_rows(column(cases, "METEOR_stats"))
        each["METEOR"] = meteor.meteor(stats)
        whole["METEOR"] = meteor.meteor(stats.sum(axis=0))
    whole = {name: values.mean() for name, values in each.items()} | whole
    check.fields(whole, corpus)
    for name, values in each.items():
        check.same(values, column(cases, name), name)
    published = file.get("published_4dp", {})
    for name in published.keys() - SKIPPED.keys():
        assert round(float(whole[name]), 4) == published[name]
    if "expected_change_detection" in file:
        change = file["expected_change_detection"]
        assert tuple(change["nochange_list"]) == protocols.NO_CHANGE
        pairs = [
            predicted(i, "caption", {"captions": case["refs"]}, answer=case["hyp"])
            for i, case in enumerate(cases)
        ]
        found = modes.measures("levir-change", pairs)
        check.same(found["change_acc"].value, change["change_acc"])
        check.same(found["no_change_acc"].value, change["nochange_acc"])
    if "_zh_" in check.name:
        if check.name.endswith("nopunct"):  # our rule for Chinese, save for capital letters
            assert [tokenise(c["hyp"]) for c in cases] == [text.lower() for text in answers]
    elif "levircc" not in check.name:
        assert [tokenise(c["hyp"]) for c in cases] == answers
        assert [[tokenise(text) for text in c["refs"]] for c in cases] == references


def tokenizer(file, check):
    for case in file["cases"]:
        assert tokenise(case["text"]) == case.get("tokens", case.get("policy_tokens")), case["id"]
        check.seen += 1


def pair_iou(file, check):
    cases = file["cases"]
    one, two = (np.array([c[side] for c in cases], dtype=float) for side in "ab")
    a, b = Boxes.from_hbb(one), Boxes.from_hbb(two)
    ordered = ((one[:, :2] <= one[:, 2:]) & (two[:, :2] <= two[:, 2:])).all(axis=1)
    plain = iou_hbb(a, b)
    areas = (
        np.prod(a.hbb[:, 2:] - a.hbb[:, :2], axis=1),
        np.prod(b.hbb[:, 2:] - b.hbb[:, :2], axis=1),
    )
    shared = plain * sum(areas) / (1 + plain)
    for name, ours in {
        "iou": plain, "torchvision": plain, "coco": plain, "inter": shared,
        "union": sum(areas) - shared,
    }.items():  # fmt: skip
        theirs = np.array([value or 0.0 for value in column(cases, name)])
        check.same(ours[ordered], theirs[ordered], name)
    rows = protocols.inclusive(a.hbb, b.hbb)
    ours = {"iou": rows[:, 0] / rows[:, 1], "inter": rows[:, 0], "union": rows[:, 1]}
    for name, values in ours.items():
        theirs = np.array([one["plus1"][name] or 0.0 for one in [c["expected"] for c in cases]])
        check.same(values[ordered], theirs[ordered], f"plus1 {name}")
    assert ordered.sum() > 100


def polygons(check, a, b, wanted):
    """IoU, shared and united area of quadrilaterals against one implementation's."""
    for row, want in enumerate(wanted):
        ours = iou(a[row], b[row])[0]
        check.same(ours, want["iou"], f"{row} iou")
        check.same(ours, want["earthdial"], f"{row} earthdial")
        if all(want["shapely_valid"]):
            areas = a[row].areas[0] + b[row].areas[0]
            check.same(ours * areas / (1 + ours), want["inter"], f"{row} inter")
            check.same(areas / (1 + ours), want["union"], f"{row} union")
            if min(a[row].areas[0], b[row].areas[0]) > 1e-3:  # below, its eps of 1e-8 shows
                check.same(ours, want["dota_polyiou"], f"{row} dota_polyiou")
            if "cv2_inter" in want:  # in float32
                assert ours * areas / (1 + ours) == pytest.approx(want["cv2_inter"], rel=1e-3)


def pair_iou_polygon(file, check):
    a, b = (Boxes(np.array([c[s] for c in file["cases"]]).reshape(-1, 4, 2)) for s in "ab")
    polygons(check, a, b, [case["expected"] for case in file["cases"]])


def turned(rows):
    """Boxes of rows x1, y1, x2, y2, angle."""
    rows = np.reshape(rows, (-1, 5)).astype(float)
    low, high = rows[:, :2], rows[:, 2:4]
    return Boxes.from_rotated(np.hstack([(low + high) / 2, high - low, rows[:, 4:]]))


def pair_iou_rotated(file, check):
    cases = file["cases"]
    for sign, name in ((1, "cw"), (-1, "ccw")):
        boxes = [turned([[*c[s], sign * c[f"angle_{s}"]] for c in cases]) for s in "ab"]
        wanted = column(cases, name)
        polygons(check, *boxes, wanted)
        for side, found in zip("ab", boxes, strict=True):
            corners = [one[f"corners_{side}"] for one in wanted]
            check.same(found.quads.reshape(-1, 8), corners, "corners")
        assert sign == 1 or np.allclose(
            iou(
                *(
                    protocols.mirrored(turned([[*c[s], c[f"angle_{s}"]] for c in cases]))
                    for s in "ab"
                )
            ),
            [one["iou"] or 0.0 for one in wanted],
        )
        for case in cases:
            key = f"{name}_scaled_to_image_first"
            if key in case["expected"]:
                scale = np.tile(case["image_size"], 2) / 100
                one, two = (
                    turned([[*(np.array(case[s]) * scale), sign * case[f"angle_{s}"]]])
                    for s in "ab"
                )
                check.same(iou(one, two)[0], case["expected"][key], key)


def grounding_single(file, check):
    cases, wanted = file["cases"], file["expected_corpus"]
    if "vrsbench" in check.name:
        some = [
            predicted(
                i,
                "refer",
                {"boxes": hbb([rules.vrsbench_box(c["ground_truth"])])},
                answer=c["answer"],
            )
            for i, c in enumerate(cases)
        ]
        found = modes.measures("vrsbench", some)
        for one, case in zip(some, cases, strict=True):
            each = modes.measures("vrsbench", [one])["mean_iou_hbb"].value
            check.same(each, case["expected"]["iou_plus1"], case["id"])
        valid = sum(rules.vrsbench_box(case["answer"]) is not None for case in cases)
        ours = {"total": len(some), "valid": valid}
        names = {"acc@0.5": "acc@0.5_hbb", "acc@0.7": "acc@0.7_hbb", "meanIoU": "mean_iou_hbb"}
        for theirs, name in {**names, "cumIoU": "cum_iou"}.items():
            ours[theirs] = 100 * found[name].value
        check.fields(ours, wanted)
        return
    mode = "vleo-refer-qwen" if "qwen" in check.name else "vleo-refer"
    some = [
        predicted(
            i, "refer", {"boxes": hbb([c["gt"]])}, answer=c["answer"], size_wh=c["image_size"]
        )
        for i, c in enumerate(cases)
    ]
    every = []
    for one, case in zip(some, cases, strict=True):
        box = (
            rules.vleo_qwen_box(one.answer, one.size_wh)
            if "qwen" in check.name
            else rules.vleo_box(one.answer)
        )
        assert box == case["expected"]["box"], case["id"]
        every.append(iou_hbb(Boxes.from_hbb(box), Boxes.from_hbb(case["gt"]))[0] if box else 0.0)
        check.same(every[-1], case["expected"]["iou"], case["id"])
    found = {name: one.value for name, one in modes.measures(mode, some).items()}
    strictly = [  # the same answers by our own rule: all of them count
        predicted(
            i,
            "refer",
            one.truth.to_row(),
            boxes=hbb([c["expected"]["box"]]) if c["expected"]["box"] else None,
        )
        for i, (one, c) in enumerate(zip(some, cases, strict=True))
    ]
    ours = {name: one.value for name, one in grounding.measures(strictly).items()}
    check.fields(
        {
            "refusal_rate": found["refused"],
            "mean_iou": found["mean_iou_hbb"],
            "pr@0.5_strict": found["acc@0.5_hbb"],
            "mean_centroid_distance": found["centre_px"],
            "acc_all@0.5_strict": np.mean(np.array(every) > 0.5),
            "acc_all@0.5_ge": ours["acc@0.5_hbb"],
            "acc_all@0.25_ge": np.mean(np.array(every) >= 0.25),
            "acc_all@0.7_ge": np.mean(np.array(every) >= 0.7),
            "mean_iou_all": ours["mean_iou_hbb"],
        },
        wanted,
    )


def hbb(rows):
    return Boxes.from_hbb(rows).quads.reshape(-1, 8).tolist()


def grounding_multi(file, check):
    sums, groups = {}, {}
    for case in file["cases"]:
        answers = DIALECTS.get("geochat").read(case["answer"], (100, 100))
        truth = turned(case["gt"])
        assert np.allclose(answers.quads, turned(case["parsed"]).quads), case["id"]
        sides = {
            "cw": (answers, truth),
            "ccw": (protocols.mirrored(answers), protocols.mirrored(truth)),
        }
        ours = {}
        for side, pair in sides.items():
            overlap = matching.overlaps(*pair)
            for least in (0.25, 0.5):
                for name, count in (("greedy", matching.greedy), ("optimal", matching.most)):
                    tp = count(overlap, least)
                    ours[f"{side}_{name}@{least}"] = tp, len(answers) - tp, len(truth) - tp
        for name, row in ours.items():
            sums[name] = np.add(sums.get(name, 0), row)
        hits = protocols.any_hits(*sides["ccw"])
        check.fields({**ours, "earthdial_hits": hits}, case["expected"], f"{case['id']} ")
        for group in (case["size_group"], "single" if len(truth) == 1 else "multiple"):
            groups[group] = np.add(groups.get(group, 0), (hits, len(answers)))
    wanted = dict(file["expected_corpus"])
    earthdial = wanted.pop("earthdial_precision@0.5")
    check.fields({name: hits / n for name, (hits, n) in groups.items()}, earthdial)
    for name, want in wanted.items():
        tp, fp, fn = (float(value) for value in sums[name])
        row = np.array([tp, tp + fp, tp + fn])
        shares = {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": grounding.f1(row)}
        check.fields({"tp": tp, "fp": fp, "fn": fn, **shares}, want, name)


def map_coco(file, check):
    names = {row["id"]: row["name"] for row in file["categories"]}

    def objects(rows, scores=()):
        boxes = np.array([row["bbox"] for row in rows])
        return detection.Objects(
            [f"{row['image_id']:04}" for row in rows],
            [names[row["category_id"]] for row in rows],
            Boxes.from_hbb(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])),
            scores,
            difficult=[bool(row.get("iscrowd")) for row in rows],
            areas=[row["area"] for row in rows if "area" in row],
        )

    truth, cases = objects(file["annotations"]), file["cases"]
    for kind, scores in (
        ("scored", [case["score"] for case in cases]),
        ("all_scores_1", [1.0] * len(cases)),
    ):
        wanted, found = dict(file["expected_corpus"][kind]), objects(cases, scores)
        each = wanted.pop("AP50_per_class")
        scores, per_class = detection.coco(found, truth)
        check.fields(scores, wanted, kind)
        check.fields(per_class, each, kind)


def map_dota(file, check):
    truth = [(image, row) for image, rows in file["ground_truth"].items() for row in rows]
    there = detection.Objects(
        [image for image, _ in truth],
        [row["name"] for _, row in truth],
        Boxes(np.array([row["poly"] for _, row in truth]).reshape(-1, 4, 2)),
        difficult=[bool(row["difficult"]) for _, row in truth],
    )
    cases, wanted = file["cases"], dict(file["expected_corpus"])
    found = detection.Objects(
        [case["image"] for case in cases],
        [case["category"] for case in cases],
        Boxes(np.array([case["poly"] for case in cases]).reshape(-1, 4, 2)),
        [case["score"] for case in cases],
    )
    for name, (recall, precision) in wanted.pop("final_recall_precision").items():
        one = detection.dota(found, there)[name]
        check.same([one.recall, one.precision], [recall, precision], name)
    for name, want in wanted.items():
        rule, least = name.split("@")
        each = detection.dota(found, there, float(least), eleven=rule == "voc07")
        ours = {label: one.ap for label, one in each.items()}
        check.fields({**ours, "mAP": np.mean(list(ours.values()))}, want, name)


def classification_(file, check):
    cases, wanted = file["cases"], file["expected_corpus"]
    if "label_set" not in file:  # GeoChat's scenes
        some = [
            predicted(i, "classify", {"label": c["question_id"].split("/")[0]}, answer=c["answer"])
            for i, c in enumerate(cases)
        ]
        right = modes.measures("geochat-scene", some)["accuracy"]
        assert right.right.tolist() == column(cases, "correct")
        ours = {"correct": right.right.sum(), "total": len(some), "accuracy": right.value}
        check.fields(ours, wanted)
        return
    labels = file["label_set"]
    cookbook = "scored_as" in cases[0]["expected"] if cases else False
    some, hallucinated = [], []
    for i, case in enumerate(cases):
        if cookbook:
            parsed = rules.cookbook_label(case["answer"])
            label = parsed if parsed in labels else None
            hallucinated.append(parsed is not None and label is None)
            want = case["expected"]
            assert parsed == want["parsed"] and (label or "WRONG") == want["scored_as"]
            assert ((parsed is not None), hallucinated[-1]) == (
                want["json_valid"],
                want["hallucinated"],
            )
        else:
            label = rules.vleo_label(case["answer"], labels)
            assert (label or "Refused") == case["expected"]["parsed"]
            refused = rules.vleo_refused(case["answer"], label)
            assert refused == case["expected"]["is_refusal_vleo"]
        some.append(named(i, case["truth"], label, answer=case["answer"]))
    table = classification.confusion(some, labels)
    rows = classification.per_class(some, labels)
    support = np.array([row.support for row in rows])
    parts = {k: np.array([getattr(row, k) for row in rows]) for k in ("precision", "recall", "f1")}
    larger, there = {k: v.sum() / (len(labels) + 1) for k, v in parts.items()}, support > 0
    weighted = {k: (v * support).sum() / support.sum() for k, v in parts.items()}
    accuracy = classification.measures(some, labels)["accuracy"].value
    chance = (np.append(table.sum(axis=1), 0) @ table.sum(axis=0)) / len(some) ** 2
    ours = {
        "n": len(some),
        "accuracy": accuracy,
        "invalid_rate": table[:, -1].sum() / len(some),
        "confusion_matrix": [*table.tolist(), [0] * (len(labels) + 1)],
        "balanced_accuracy": parts["recall"][there].mean(),
        "cohen_kappa": (accuracy - chance) / (1 - chance),
    }
    found = modes.measures("cookbook" if cookbook else "vleo-scene", some, labels)
    check.same(found["macro_f1"].value, wanted["macro_with_invalid_row"]["f1"])
    check.same(found["accuracy"].value, wanted["accuracy"])
    strict = classification.measures(some, labels)["macro_f1"].value
    check.same(strict, wanted["macro_over_labels"]["f1"])
    if cookbook:
        outside, n = sum(hallucinated), len(some)
        valid = n - sum(c["expected"]["parsed"] is None for c in cases)
        check.same(found["outside_labels"].value, wanted["hallucinated_label_rate"])
        ours |= {"json_validity_rate": valid / n, "hallucinated_label_rate": outside / n}
        ours |= {"hallucinated_rate_among_valid": outside / valid}
    else:
        ours["refusal_rate_vleo"] = found["refused"].value
    nested = {
        "macro_over_labels": {k: v.mean() for k, v in parts.items()},
        "macro_with_invalid_row": larger,
        "macro_over_present_classes": {k: v[there].mean() for k, v in parts.items()},
        "weighted": weighted,
    }
    for name, values in nested.items():
        check.fields(values, wanted[name], name)
    for row in rows:
        check.fields(vars(row), wanted["per_class"][row.label], row.label)
    if "report_vleo" in wanted:
        report = {"macro avg": larger, "weighted avg": weighted}
        check.same(accuracy, wanted["report_vleo"]["accuracy"])
        for name, values in report.items():
            values = {**values, "f1-score": values["f1"], "support": len(some)}
            check.fields(values, wanted["report_vleo"][name], name)
    rest = {
        k: v
        for k, v in wanted.items()
        if k not in {*nested, "per_class", "report_vleo", "labels_order"}
    }
    check.fields(ours, rest)


def counts(check, some, wanted):
    """The three parts of a file's expectation on predictions of counts."""
    ours = {name: one.value for name, one in counting.vleo(some).items()}
    names = {"mape": "mape", "mae": "mae", "r2": "r2_pearson"}
    vleo = {"refusal_rate": ours["refused"]}
    for theirs, name in names.items():
        vleo |= {theirs: ours[name], f"{theirs}_no_refusal": ours[f"{name}_answered"]}
    check.fields(vleo, wanted["vleo"], "vleo ")
    silent_as_zero = [one if one.count is not None else replace(one, count=0) for one in some]
    for part, kept, end in (
        ("refusal_as_zero", silent_as_zero, ""),
        ("no_refusal", [one for one in some if one.count is not None], "_answered"),
    ):
        found = {name: one.value for name, one in counting.measures(kept).items()}
        truth = np.array([one.truth.count for one in kept])
        off = np.array([one.count or 0 for one in kept]) - truth
        want = wanted[part]
        exact = found["exact"]
        check.fields(
            {
                "n": len(kept),
                "mae": found["mae"],
                "rmse": found["rmse"],
                "r2_determination": found["r2"],
                "r2_pearson": ours[f"r2_pearson{end}"],
                "mape_sklearn": ours[f"mape{end}"],
                "mape_nonzero_truth": found["mape"],
                "n_zero_truth": (truth == 0).sum(),
                "exact_match": exact,
                "bias": off.mean(),
            },
            want,
            f"{part} ",
        )


def counting_(file, check):
    some = []
    for i, case in enumerate(file["cases"]):
        count = rules.vleo_count(case["answer"])
        assert (-1 if count is None else count) == case["expected"]["parsed"], case["id"]
        truth = {"count": case["truth"]}
        some.append(predicted(i, "count", truth, answer=case["answer"], count=count))
    counts(check, some, file["expected_corpus"])
    mode = modes.measures("vleo-count", some)
    check.same(mode["mae"].value, file["expected_corpus"]["vleo"]["mae"])


def xbd_counts(file, check):
    some, read = [], []
    for i, case in enumerate(file["cases"]):
        want = case["expected"]
        read.append(rules.vleo_damage(case["answer"]))
        assert read[-1] == want["parsed"], case["id"]
        assert (read[-1] is not None) == want["valid_vleo"]
        assert (rules.strict_damage(case["answer"]) is not None) == want["valid_strict"], case["id"]
        some.append(predicted(i, "damage", {"counts": case["truth"]}, answer=case["answer"]))
    for field, kept in protocols.counts_by_field(some, read).items():
        counts(check, kept, file["expected_corpus"][field])
    each = [file["expected_corpus"][field]["vleo"]["mae"] for field in rules.DAMAGE]
    check.same(modes.measures("vleo-damage", some)["mae"].value, np.mean(each))


def vqa_normalise(file, check):
    for case in file["cases"]:
        ours = {k: rules.rsvqa_label(case["answer"], k == "lr") for k in ("lr", "hr")}
        assert ours == case["expected"], case["id"]
        check.seen += 1


def vqa(file, check):
    ranges = check.name.endswith("_lr")
    columns = {
        "correct_rsvqa": "rsvqa-lr" if ranges else "rsvqa-hr",
        "correct_geochat": "geochat-question",
        "correct_earthmind": "earthmind",
        "correct_teochat": "teochat",
        "earthdial_recall": "earthdial-question",
    }
    cases = file["cases"]
    labels = [rules.rsvqa_label(c["truth"], ranges) for c in cases]
    assert labels == column(cases, "truth_label")
    assert [rules.rsvqa_label(c["answer"], ranges) for c in cases] == column(cases, "answer_label")
    for name, mode in columns.items():
        some = [
            predicted(
                i,
                "question",
                {"answer": c["truth"] if name == "correct_rsvqa" else label, "kind": c["type"]},
                answer=c["answer"],
            )
            for i, (c, label) in enumerate(zip(cases, labels, strict=True))
        ]
        found = modes.measures(mode, some)
        check.same(found["exact_answer"].rows[:, 0], column(cases, name), name)
        kept = [one for one in some if one.truth.kind not in ("count", "area")]
        part = modes.measures(mode, kept)
        wanted = dict(file["expected_corpus"][name])
        kinds = wanted.pop("per_type")
        for kind, want in kinds.items():
            alone = [one for one in some if one.truth.kind == kind]
            check.same(modes.measures(mode, alone)["exact_answer"].value, want, kind)
        assert sorted(kinds) == questions.kinds_of(some)
        ours = {"OA": found["exact_answer"].value, "AA": found["average_answer"].value}
        ours["OA_without_count_area"] = part["exact_answer"].value
        ours["AA_without_count_area"] = part["average_answer"].value
        check.fields(ours, wanted, name)


def clipscore_(file, check):
    cases = file["cases"]
    candidates = np.array([case["candidate"] for case in cases])
    scores = clipscore.clip_score(np.array([case["image"] for case in cases]), candidates)
    nearest = clipscore.nearest_reference(
        candidates, [np.array(case["references"]) for case in cases]
    )
    paper = clipscore.ref_clip_score(scores, nearest)
    with np.errstate(all="ignore"):
        code = 2 * scores * nearest / (scores + nearest)  # as the code has it: nothing is cut at 0
    for name, ours in (
        ("clip_s", scores), ("ref_max_cos", nearest), ("ref_clip_s_paper", paper)
    ):  # fmt: skip
        check.same(ours, column(cases, name), name)
    wanted = column(cases, "ref_clip_s_code")
    finite = np.array([value is not None for value in wanted])
    check.same(code[finite], [value for value in wanted if value is not None])
    whole = {"clip_s": scores.mean(), "ref_clip_s_paper": paper.mean()}
    check.fields({**whole, "ref_clip_s_code_finite": code[finite].mean()}, file["expected_corpus"])


def statistics_(file, check):
    for case in file["cases"]:
        {"bootstrap": bootstrap, "mcnemar": mcnemar, "ece": ece}[case["kind"]](case, check)


def bootstrap(case, check):
    scenes = [str(i) for i in range(len(case["scores_a"]))]
    a, b = mean_of(case["scores_a"], scenes), mean_of(case["scores_b"], scenes)
    drawn = {"resamples": case["B"], "seed": case["seed"]}
    gap = statistics.difference(b, a, **drawn)
    gaps = statistics.resampled(a, **drawn) - statistics.resampled(b, **drawn)
    gaps[np.abs(gaps) < 1e-12] = 0
    ours = {
        "mean": a.value,
        "mean_b": b.value,
        "se_bootstrap": statistics.resampled(a, **drawn).std(ddof=1),
        "ci95_percentile": statistics.interval(a, **drawn),
        "ci90_percentile": statistics.interval(a, level=0.9, **drawn),
        "paired_diff": gap.value,
        "paired_ci95": (gap.low, gap.high),
        "p_one_sided_a_not_better": (gaps <= 0).mean(),
        "p_two_sided": min(1.0, 2 * min((gaps <= 0).mean(), (gaps >= 0).mean())),
    }
    right, n = sum(case["scores_a"]), len(scenes)
    if right == int(right):
        ours["clopper_pearson95"] = statistics.clopper_pearson(int(right), n)
    check.fields(ours, case["expected"], case["id"])


def mcnemar(case, check):
    b, c = case["b"], case["c"]
    exact = statistics.mcnemar(b, c)
    ours = {"exact_p": exact, "statsmodels_exact_p": exact, "mid_p": statistics.mcnemar(b, c, True)}
    check.fields(ours, case["expected"], case["id"])


def ece(case, check):
    sure, right = np.array(case["confidence"]), np.array(case["correct"])
    wanted = dict(case["expected"])
    check.same(np.mean((sure - right) ** 2), wanted.pop("brier"))
    for name, want in wanted.items():
        bins, closed = re.fullmatch(r"M(\d+)_(\w+)", name).groups()
        rows = statistics.calibration(sure, right, int(bins), closed)
        edges = np.linspace(0, 1, int(bins) + 1)
        within = [(sure > lo) & (sure <= hi) for lo, hi in pairwise(edges)]
        if closed == "left":
            within = [(sure >= lo) & ((sure < hi) | (hi == 1)) for lo, hi in pairwise(edges)]
        gaps = [abs((sure - right)[some].mean()) for some in within if some.any()]
        ours = {"ece": statistics.calibration_error(rows.sum(axis=0)), "mce": max(gaps)}
        check.fields({**ours, "n_binned": sum(map(sum, within))}, want, f"{case['id']} {name} ")


KINDS = {
    "caption_corpus": caption_corpus,
    "tokenizer": tokenizer,
    "pair_iou": pair_iou,
    "pair_iou_polygon": pair_iou_polygon,
    "pair_iou_rotated": pair_iou_rotated,
    "grounding_single": grounding_single,
    "grounding_multi": grounding_multi,
    "map_coco": map_coco,
    "map_dota": map_dota,
    "classification": classification_,
    "counting": counting_,
    "xbd_counts": xbd_counts,
    "vqa_normalise": vqa_normalise,
    "vqa": vqa,
    "clipscore": clipscore_,
    "statistics": statistics_,
}
"""What checks a kind of file."""


def test_every_file_of_the_reference_implementations_is_reproduced(vectors_folder):
    files = sorted(vectors_folder.glob("*.json"))
    assert len(files) >= 34
    failed = []
    for path in files:
        file = json.loads(path.read_text())
        check = Checker(file)
        if file["kind"] in SKIPPED:
            continue
        try:
            assert file["kind"] in KINDS, f"{path.name}: no checker for kind '{file['kind']}'"
            KINDS[file["kind"]](file, check)
            assert check.seen, f"{path.name}: nothing was compared"
        except AssertionError as error:
            failed.append(f"{path.name}: {error}")
    assert not failed, "\n".join(failed)


def test_a_kind_of_file_that_nothing_checks_is_noticed(tmp_path, monkeypatch):
    for number in range(34):
        row = {"name": "x", "kind": "tokenizer", "cases": [{"id": "1", "text": "A", "tokens": "a"}]}
        (tmp_path / f"{number}.json").write_text(json.dumps(row))
    test_every_file_of_the_reference_implementations_is_reproduced(tmp_path)
    (tmp_path / "new.json").write_text(json.dumps({"name": "new", "kind": "telepathy"}))
    with pytest.raises(AssertionError, match="no checker for kind 'telepathy'"):
        test_every_file_of_the_reference_implementations_is_reproduced(tmp_path)


def test_meteor_in_full_equals_the_vectors(vectors_folder):
    if not shutil.which("java") or importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("METEOR in full needs java and pycocoevalcap; install both")
    files = [json.loads(path.read_text()) for path in sorted(vectors_folder.glob("caption_*.json"))]
    files = [file for file in files if "METEOR" in file["expected_corpus"]]
    cases = [case for file in files for case in file["cases"]]
    lines = meteor.lines([c["hyp_tok"] for c in cases], [c["refs_tok"] for c in cases])
    rows = meteor.meteor_rows(lines)
    np.testing.assert_allclose(meteor.meteor(rows), column(cases, "METEOR"), atol=1e-9)
    ends = np.cumsum([len(file["cases"]) for file in files])[:-1]
    for file, some in zip(files, np.split(rows, ends), strict=True):
        whole = file["expected_corpus"]["METEOR"]
        assert meteor.meteor(some.sum(axis=0)) == pytest.approx(whole, abs=1e-9), file["name"]
    assert len(cases) > 500
