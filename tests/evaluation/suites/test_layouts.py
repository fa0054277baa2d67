"""Readers of benchmarks, each on small files of exactly its layout."""

import json

import numpy as np
import pytest

from swath.errors import AnnotationError, EvaluationError, RequestError
from swath.evaluation.external.answer_files import Given
from swath.evaluation.external.matching_questions import match
from swath.evaluation.metrics.short_answers import exact
from swath.evaluation.papers.modes import measures
from swath.evaluation.suites.running import ask
from swath.evaluation.suites.table import shipped
from swath.instructions.conversation import Box
from tests.making import rectangle


def asked(name, folder, **change):
    suite = shipped()[name].model_copy(update=change) if change else shipped()[name]
    return ask(suite, folder, look=False)


def write(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))


def xml(folder, name, objects, size=800):
    boxes = "".join(
        f"<object><name>ship</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox>{f'<description>{said}</description>' if said else ''}</object>"
        for (a, b, c, d), said in objects
    )
    write(
        folder / "Annotations" / f"{name}.xml",
        f"<annotation><filename>{name}.jpg</filename><size><width>{size}</width>"
        f"<height>{size}</height></size>{boxes}</annotation>",
    )


def test_class_folders_list_their_classes_in_the_question(tmp_path):
    for number, name in enumerate(("BareLand", "Beach")):
        rectangle(tmp_path / name / f"{number}.png")
    found = ask(shipped()["aid"], tmp_path)
    assert found.labels == ["BareLand", "Beach"]
    assert "following classes: bare land, beach." in found.conversations[0].text("user")
    assert found.conversations[0].truth.to_row() == {"label": "BareLand"}
    assert found.conversations[0].images[0].size_wh == (32, 32)


def test_rsvqa_joins_its_three_files_by_id_and_skips_stubs_and_other_kinds(tmp_path):
    prefix = tmp_path / "LR_split_test"
    kinds = ["presence", "count", "comp"]
    questions = [
        {"id": 10 + place, "img_id": 7, "type": kind, "question": f"{kind}?", "active": True,
         "answers_ids": [20 + place]} for place, kind in enumerate(kinds)
    ]  # fmt: skip
    answers = [
        {"id": 20 + place, "quesiton_id": 10 + place, "answer": said, "active": True}
        for place, said in enumerate(("yes", "4", "no"))
    ]
    write(tmp_path / f"{prefix.name}_questions.json", {"questions": [{"id": 0, "active": False},
                                                                    *questions]})  # fmt: skip
    write(tmp_path / f"{prefix.name}_answers.json", {"answers": [{"id": 0, "active": False},
                                                                *answers]})  # fmt: skip
    found = asked("rsvqa-lr", tmp_path)
    assert [one.id for one in found.conversations] == ["10", "12"]
    assert [one.truth.to_row() for one in found.conversations] == [
        {"answer": "yes", "kind": "presence"},
        {"answer": "no", "kind": "comp"},
    ]
    assert found.conversations[0].images[0].path.endswith("7.tif")
    assert found.conversations[0].text("user") == (
        "presence?\nAnswer the question using a single word or phrase."
    )


def test_rsivqa_parts_lines_at_the_first_colon_and_the_last_question_mark(tmp_path):
    lines = "1.tif:what is the theme of this picture?residential\n1.tif:how many cars?are seen?2\n"
    write(tmp_path / "ucm_vqa.txt", lines)
    one, two = asked("rsivqa", tmp_path).conversations
    assert (one.id, one.truth.to_row()) == ("ucm_vqa:1", {"answer": "residential", "kind": "theme"})
    assert two.text("user").startswith("how many cars?are seen?")
    assert two.truth.to_row() == {"answer": "2", "kind": "count"}
    write(tmp_path / "ucm_vqa.txt", "no question\n")
    with pytest.raises(AnnotationError, match=r"ucm_vqa\.txt:1: expected picture:question"):
        asked("rsivqa", tmp_path)


def test_floodnet_numbers_its_rows_by_their_keys(tmp_path):
    row = {"Image_ID": "10165.JPG", "Question": "Is the road flooded?", "Ground_Truth": "flooded",
           "Question_Type": "Condition_Recognition"}  # fmt: skip
    write(tmp_path / "Training Question.json", {"0": row, "1": {**row, "Ground_Truth": 3}})
    one, two = asked("floodnet", tmp_path).conversations
    assert (one.id, two.id) == ("0", "1")
    assert one.truth.to_row() == {"answer": "flooded", "kind": "Condition_Recognition"}
    assert two.truth.answer == "3"


def test_vrsbench_reads_boxes_of_a_grid_and_tells_repeated_ids_apart(tmp_path):
    row = {"image_id": "P0003_0002.png", "question": "the yellow vehicle", "question_id": 0,
           "ground_truth": "{<25><40><33><60>}", "type": "ref", "dataset": "RSBench"}  # fmt: skip
    other = {**row, "image_id": "P0004_0001.png"}
    write(tmp_path / "VRSBench_EVAL_referring.json", [row, other])
    one, two = asked("vrsbench-refer", tmp_path).conversations
    assert one.truth.to_row()["boxes"] == [[128, 204.8, 168.96, 204.8, 168.96, 307.2, 128, 307.2]]
    assert (one.id, two.id) == ("P0003_0002.png/0", "P0004_0001.png/0")
    assert one.text("user") == "[refer] Give me the location of <p> the yellow vehicle </p>"


def geochat(folder):
    rows = [
        {"question_id": "a", "image_id": "P1", "question": "2 ships", "type": "ref",
         "dataset": "SOTA", "size_group": "small", "ground_truth": [
             [[0, 0], [10, 0], [10, 10], [0, 10]], [[20, 0], [30, 0], [30, 10], [20, 10]]]},
        {"question_id": "b", "image_id": "P2", "question": "a ship", "type": "grounding",
         "dataset": "FAST", "ground_truth": [[[0, 0], [6, 0], [6, 6], [0, 6]]]},
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "referring.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_geochat_bench_parts_refer_from_grounding_and_knows_its_pictures_sizes(tmp_path):
    geochat(tmp_path)
    (refer,) = asked("geochat-refer", tmp_path).conversations
    (ground,) = asked("geochat-grounding", tmp_path).conversations
    assert refer.text("user") == "[refer] Give me the location of <p> 2 ships </p>"
    assert len(refer.truth.to_row()["boxes"]) == 2
    assert refer.images[0].size_wh == (1024, 1024)
    assert ground.text("user") == "[grounding]a ship"
    assert ground.images[0].size_wh == (600, 600)


def test_geochat_regions_are_boxes_in_the_question(tmp_path):
    row = {"question_id": "r", "image_id": "P1", "question": "{<0><0><50><50>|<90>}",
           "ground_truth": "a white ship", "type": "ref", "dataset": "SIOR"}  # fmt: skip
    (tmp_path / "region_captioning.jsonl").write_text(json.dumps(row))
    (one,) = asked("geochat-region", tmp_path).conversations
    (box,) = [part for part in one.turns[0].parts if isinstance(part, Box)]
    assert np.allclose(box.boxes.hbb, [[0, 0, 400, 400]])
    assert one.truth.to_row() == {"captions": ["a white ship"]}


def test_dior_rsvg_counts_objects_through_all_files_by_path(tmp_path):
    xml(tmp_path, "00001", [((0, 0, 10, 10), "the left ship"), ((20, 0, 30, 10), "the right ship")])
    xml(tmp_path, "00002", [((5, 5, 9, 9), "a lone ship")])
    write(tmp_path / "train.txt", "0\n")
    write(tmp_path / "test.txt", "1\n2\n")
    one, two = asked("dior-rsvg", tmp_path).conversations
    assert (one.id, one.truth.to_row()["boxes"][0][:4]) == ("1", [20, 0, 30, 0])
    assert one.text("user").endswith("<p> the right ship </p>")
    assert one.images[0].size_wh == (800, 800)
    (alone,) = asked("dior-rsvg-disjoint", tmp_path).conversations
    assert alone.id == two.id == "2"  # the other picture has an object in train


def test_captions_of_the_wanted_split_need_no_pictures(tmp_path):
    sentences = [{"raw": "a farm ."}, {"tokens": ["one", "field"]}]
    rows = [{"filename": f"{n}.tif", "imgid": n, "split": split, "sentences": sentences}
            for n, split in enumerate(("train", "test"))]  # fmt: skip
    write(tmp_path / "dataset.json", {"images": rows})
    (one,) = asked("ucm-captions", tmp_path).conversations
    assert one.truth.to_row() == {"captions": ["a farm .", "one field"]}
    assert one.id == "1.tif"


def test_change_captions_show_two_pictures(tmp_path):
    for side in "AB":
        rectangle(tmp_path / "images" / "test" / side / "test_1.png")
    row = {"filename": "test_1.png", "filepath": "test", "split": "test", "changeflag": 1,
           "sentences": [{"raw": "a house appears"}]}  # fmt: skip
    write(tmp_path / "LevirCCcaptions.json", {"images": [row]})
    (one,) = ask(shipped()["levir-cc"], tmp_path).conversations
    assert [image.path[-13:] for image in one.images] == ["/A/test_1.png", "/B/test_1.png"]


def test_nwpu_captions_stand_under_their_class(tmp_path):
    row = {"filename": "beach_1.jpg", "split": "test", "raw": "A beach.", "raw_1": "Sand."}
    write(tmp_path / "dataset_nwpu.json", {"beach": [row, {**row, "split": "train"}]})
    (one,) = asked("nwpu-captions", tmp_path).conversations
    assert one.truth.to_row()["captions"] == ["A beach.", "Sand."]


def test_capera_captions_are_of_the_test_clips(tmp_path):
    row = {"video_id": "Fire_001.mp4", "annotation": {"English_caption": ["A fire.", "Smoke."]}}
    write(tmp_path / "CapERA_DATASET_test.json", {"ERA_caption": [row]})
    for split in ("Tra", "Test"):
        write(tmp_path / "Videos" / split / "Fire" / "Fire_001.mp4", "")
    with pytest.raises(AnnotationError, match="keep one of them"):
        asked("capera", tmp_path)  # both splits have a clip of that name
    (tmp_path / "Videos" / "Tra" / "Fire" / "Fire_001.mp4").unlink()
    (one,) = asked("capera", tmp_path).conversations
    assert one.images[0].path.endswith("Test/Fire/Fire_001.mp4")
    assert one.truth.to_row()["captions"] == ["A fire.", "Smoke."]


def test_era_clips_are_labelled_by_their_folder(tmp_path):
    write(tmp_path / "Videos" / "Test" / "Fire" / "Fire_001.mp4", "")
    (one,) = asked("era", tmp_path / "Videos").conversations
    assert one.truth.to_row() == {"label": "Fire"}


def test_counting_suites_count_boxes(tmp_path):
    neon, cowc, animals, xbd = (tmp_path / name for name in ("neon", "cowc", "animals", "xbd"))
    xml(neon, "OSBS_029", [((1, 1, 5, 5), ""), ((7, 7, 9, 9), "")])
    header = "Folder_Name,File_Name,Neg_Count,Other_Count,Pickup_Count,Sedan_Count,Unknown_Count\n"
    write(
        cowc / "object_count.csv", header + "Utah_AGRC,a.jpg,3,1,2,0,1\nUtah_AGRC,b.jpg,0,0,0,0,0\n"
    )
    write(animals / "annotations_test.csv", "a.jpg,1,2,3,4,Zebra\na.jpg,1,2,3,4,Giraffe\n")
    features = [{"wkt": "", "properties": {"feature_type": "building"}}] * 3
    write(xbd / "labels" / "x_pre_disaster.json", {"features": {"xy": features}})
    counts = {
        name: [one.truth.count for one in asked(name, folder).conversations]
        for name, folder in (("neon-tree", neon), ("cowc", cowc), ("animals", animals),
                             ("xbd-count", xbd))
    }  # fmt: skip
    assert counts == {"neon-tree": [2], "cowc": [4], "animals": [2], "xbd-count": [3]}


def test_damage_is_counted_by_degree_over_two_pictures(tmp_path):
    degrees = ["no-damage", "destroyed", "destroyed", "un-classified"]
    after = [{"properties": {"subtype": degree}} for degree in degrees]
    write(tmp_path / "labels" / "x_pre_disaster.json", {"features": {"xy": []}})
    write(tmp_path / "labels" / "x_post_disaster.json", {"features": {"xy": after}})
    (one,) = asked("xbd-change", tmp_path).conversations
    assert one.truth.to_row()["counts"] == {"count_before": 4, "no_damage": 1, "minor_damage": 0,
                                   "major_damage": 0, "destroyed": 2}  # fmt: skip
    assert len(one.images) == 2


def test_fmow_takes_the_test_rows_from_2016_on_by_their_number(tmp_path):
    rows = ["split,category,timestamp", "test,airport,2012-01-01T00:00:00Z",
            "train,zoo,2016-05-01T00:00:00Z", "test,zoo,2016-05-01T00:00:00Z"]  # fmt: skip
    write(tmp_path / "rgb_metadata.csv", "\n".join(rows))
    (one,) = asked("fmow-wilds", tmp_path).conversations
    assert one.images[0].path.endswith("images/rgb_img_2.png")
    assert one.truth.to_row() == {"label": "zoo"}


def test_bigearthnet_merges_its_43_classes_to_19_and_keeps_the_listed_patches(tmp_path):
    given = {
        "S2A_1": ["Sea and ocean", "Estuaries", "Airports", "Transitional woodland/shrub"],
        "S2A_2": ["Airports", "Bare rock"],  # none of the 19: left out, as its authors do
        "S2A_3": ["Pastures"],
    }
    for patch, labels in given.items():
        write(tmp_path / patch / f"{patch}_labels_metadata.json", {"labels": labels})
        rectangle(tmp_path / patch / f"{patch}.png")
    found = asked("bigearthnet", tmp_path)
    assert len(found.labels) == 19
    assert [one.truth.to_row()["labels"] for one in found.conversations] == [
        ["Marine waters", "Transitional woodland, shrub"], ["Pastures"]]  # fmt: skip
    assert found.conversations[0].images[0].path.endswith("S2A_1.png")
    assert "classes does the image show? urban fabric; " in found.conversations[0].text("user")
    write(tmp_path / "bigearthnet-test.csv", "S2A_3,S1A_3\n")
    assert [one.id for one in asked("bigearthnet", tmp_path).conversations] == ["S2A_3"]


def test_bigearthnets_merge_names_all_43_classes_and_leads_to_all_19():
    options = shipped()["bigearthnet"].options
    merge, labels = options["merge"], set(options["labels"])
    kept = labels - set(merge.values())  # unchanged in the new nomenclature
    assert len(merge) + len(kept) == 43
    assert set(merge.values()) - {None} | kept == labels
    assert sum(new is None for new in merge.values()) == 11


@pytest.mark.parametrize(
    ("name", "inner", "label"),
    [
        ("ucm", "UCMerced_LandUse/Images", "mediumresidential"),
        ("eurosat", "2750", "AnnualCrop"),
        ("resisc45", "NWPU-RESISC45", "basketball_court"),
        ("whu-rs19", "WHU-RS19", "footballField"),
        ("patternnet", "PatternNet/images", "tennis_court"),
        ("aid", "AID", "BareLand"),
    ],
)
def test_class_folders_may_lie_in_the_folders_of_the_release(tmp_path, name, inner, label):
    for one in (label, "river"):
        for number in range(2):
            rectangle(tmp_path / inner / one / f"{one}_{number}.jpg", (number, 2, 9, 9))
    found = asked(name, tmp_path)
    assert found.labels == sorted([label, "river"])
    assert len(found.conversations) == 4


def test_rsvqa_with_all_kinds_is_scored_in_ranges_by_its_own_rule(tmp_path):
    said = {"count": "7", "area": "120m2", "presence": "yes"}
    questions = [
        {"id": n, "img_id": 0, "type": kind, "question": f"{kind}?", "active": True,
         "answers_ids": [n]} for n, kind in enumerate(said)
    ]  # fmt: skip
    answers = [{"id": n, "answer": one, "active": True} for n, one in enumerate(said.values())]
    prefixes = {"rsvqa-lr-all": "LR_split_test", "rsvqa-hr1-all": "USGS_split_test",
                "rsvqa-hr2-all": "USGS_split_test_phili"}  # fmt: skip
    for prefix in prefixes.values():
        write(tmp_path / f"{prefix}_questions.json", {"questions": questions})
        write(tmp_path / f"{prefix}_answers.json", {"answers": answers})
    shares = {}
    for name in prefixes:
        found = asked(name, tmp_path)
        assert len(found.conversations) == 3
        rows = [Given(text, str(n)) for n, text in enumerate(("4", "300m2", "Yes"))]
        some = match(found, rows).predictions
        (mode,) = found.suite.modes
        shares[name] = measures(mode, some)["average_answer"].value, sum(map(exact, some)) / 3
    # 4 and 7 are between 0 and 10; 300m2 is not 120m2, and both between 100m2 and 1000m2.
    third = pytest.approx(1 / 3)
    assert shares == {"rsvqa-lr-all": (1.0, third), "rsvqa-hr1-all": (pytest.approx(2 / 3), third),
                      "rsvqa-hr2-all": (pytest.approx(2 / 3), third)}  # fmt: skip


def test_false_premise_asks_for_a_present_and_an_absent_class(tmp_path):
    for name, line in (("a", "0 .5 .5 .2 .2"), ("b", "1 .5 .5 .2 .2")):
        rectangle(tmp_path / "images" / f"{name}.png")
        write(tmp_path / "labels" / f"{name}.txt", line)
    write(tmp_path / "classes.txt", "ship\nairplane\n")
    said = {
        (one.id[:8], one.text("user").splitlines()[0]): one.truth.answer
        for one in asked("false-premise", tmp_path).conversations
    }
    assert said == {
        ("images/a", "Is there a ship in the image?"): "yes",
        ("images/a", "Is there an airplane in the image?"): "no",
        ("images/b", "Is there an airplane in the image?"): "yes",
        ("images/b", "Is there a ship in the image?"): "no",
    }


def test_pictures_that_are_absent_are_all_said_at_once(tmp_path):
    geochat(tmp_path)
    with pytest.raises(AnnotationError, match=r"1 of 1 pictures are not there.*GeoChat_Instruct"):
        ask(shipped()["geochat-refer"], tmp_path)


def test_picture_that_its_boxes_reach_beyond_is_refused_as_another_size(tmp_path):
    geochat(tmp_path)
    rectangle(tmp_path / "images" / "P1.png", size_wh=(24, 24))
    with pytest.raises(AnnotationError, match="annotated as 1024 x 1024 px, the file has 24 x 24"):
        ask(shipped()["geochat-refer"], tmp_path)


def test_boxes_that_fit_a_picture_are_on_its_own_size_also_where_answers_are_scored(tmp_path):
    geochat(tmp_path)
    rectangle(tmp_path / "images" / "P1.png", size_wh=(32, 32))
    for look in (True, False):
        (refer,) = ask(shipped()["geochat-refer"], tmp_path, look=look).conversations
        assert refer.images[0].size_wh == (32, 32)


def test_folder_without_the_split_says_so(tmp_path):
    write(tmp_path / "dataset.json", {"images": [{"filename": "1.tif", "split": "train",
                                                 "sentences": [{"raw": "a"}]}]})  # fmt: skip
    with pytest.raises(EvaluationError, match="no question of task 'caption' in the test split"):
        asked("ucm-captions", tmp_path)


def test_prompts_are_chosen_by_name_or_taken_of_the_model(tmp_path):
    write(tmp_path / "a.txt", "1.tif:what is it?farm")
    suite = shipped()["rsivqa"].model_copy(update={"prompts": {"short": "Q: {question}"}})
    say = {
        prompt: ask(suite, tmp_path, prompt, "skyeyegpt", look=False).conversations[0].text("user")
        for prompt in ("short", "own")
    }
    assert say["short"] == "Q: what is it?"
    assert say["own"].startswith("[vqa] Based on the image")
    with pytest.raises(RequestError, match="unknown prompt 'shrot'; did you mean short"):
        ask(suite, tmp_path, "shrot", look=False)


def test_real_sets_give_their_questions(data_folder):
    counts = {
        (name, place): len(asked(name, data_folder / place).conversations)
        for name, place in (
            *(("aid", "rsicd_aid/images"), ("rsicd", "rsicd_aid"), ("rsivqa", "rsicd_aid")),
            *(("boxes", "dota_samples"), ("counts", "aerial_cars"), ("neon-tree", "neon_trees")),
        )
    }
    assert list(counts.values()) == [450, 450, 3300, 3, 90, 2]
    trees = asked("neon-tree", data_folder / "neon_trees").conversations
    assert sorted(one.truth.count for one in trees) == [61, 279]
