"""The walk of Mistral's AID notebook with OpenAI's client; prints what came of it as JSON.

    python openai_walk.py ADDRESS FOLDER

FOLDER holds `train.jsonl`, lines to be learnt from, and `test.jsonl`, questions with their labels.
Nothing but the address tells this from a walk against OpenAI.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import openai

ADDRESS, FOLDER = sys.argv[1], Path(sys.argv[2])
ENDED = ("succeeded", "failed", "cancelled", "completed", "expired")

client = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key="EMPTY", max_retries=0)
tests = [json.loads(line) for line in (FOLDER / "test.jsonl").read_text().splitlines()]
told = {"version": openai.__version__}


def until_ended(get):
    """Poll as the notebooks do."""
    while (thing := get()).status not in ENDED:
        time.sleep(0.5)
    return thing


def refused(call, **arguments):
    """Class and message of the client's own exception."""
    try:
        call(**arguments)
    except openai.OpenAIError as error:
        return [type(error).__name__, error.message]
    return None


def upload(name, purpose):
    with (FOLDER / name).open("rb") as stream:
        return client.files.create(file=stream, purpose=purpose)


def confusion(model):
    """A batch of the test questions; how often each label was answered with which words."""
    lines = []
    for number, test in enumerate(tests):
        body = {"model": model, "messages": test["messages"], "max_tokens": 16, "temperature": 0}
        line = {"custom_id": f"chip-{number}", "method": "POST"}
        lines.append(json.dumps(line | {"url": "/v1/chat/completions", "body": body}))
    (FOLDER / "asked.jsonl").write_text("\n".join(lines))
    batch = client.batches.create(
        input_file_id=upload("asked.jsonl", "batch").id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
    )
    batch = until_ended(lambda: client.batches.retrieve(batch.id))
    told.setdefault("batches", []).append(batch.model_dump())
    counts = Counter()
    for line in client.files.content(batch.output_file_id).text.splitlines():
        row = json.loads(line)
        label = tests[int(row["custom_id"].split("-")[1])]["label"]
        answer = row["response"]["body"]["choices"][0]["message"]["content"]
        counts[label, answer] += 1
    return [[*pair, count] for pair, count in counts.items()]


file = upload("train.jsonl", "fine-tune")
told["file"] = client.files.retrieve(file.id).model_dump()
told["same"] = client.files.content(file.id).content == (FOLDER / "train.jsonl").read_bytes()
told["listed"] = file.id in [row.id for row in client.files.list(purpose="fine-tune")]

(FOLDER / "broken.jsonl").write_text('{"messages": [{"role": "user"}]}\n')
jobs = client.fine_tuning.jobs
broken = upload("broken.jsonl", "fine-tune")
told["broken"] = refused(jobs.create, model="swath-nano", training_file=broken.id)
picture = tests[0]["messages"][0]["content"][0]["image_url"]["url"]
question = {"role": "user", "content": [{"type": "image_url", "image_url": picture}]}
said = {"role": "assistant", "content": "A port."}
(FOLDER / "mistral.jsonl").write_text(json.dumps({"messages": [question, said]}))
mistral = upload("mistral.jsonl", "fine-tune")
told["other dialect"] = refused(jobs.create, model="swath-nano", training_file=mistral.id)
told["gone"] = refused(jobs.create, model="gone", training_file=file.id)
told["deleted"] = client.files.delete(broken.id).deleted
told["no file"] = refused(client.files.retrieve, file_id=broken.id)

mark = {"file": file.id}
settings = {"n_epochs": 5, "batch_size": 16, "learning_rate_multiplier": 1.25}
job = jobs.create(
    model="swath-nano",
    training_file=file.id,
    suffix="aid",
    seed=1,
    metadata=mark,
    method={"type": "supervised", "supervised": {"hyperparameters": settings}},
)
waiting = jobs.create(model="swath-nano", training_file=file.id)
told["acts"] = [getattr(jobs, act)(waiting.id).status for act in ("pause", "resume", "cancel")]
told["again"] = refused(jobs.cancel, fine_tuning_job_id=waiting.id)
job = until_ended(lambda: jobs.retrieve(job.id))
told["job"] = job.model_dump()
told["found"] = [row.id for row in jobs.list(metadata=mark)] == [job.id]
events = list(jobs.list_events(job.id, limit=7))
told["events"] = len(events), len({event.id for event in events})
steps = [event.data for event in reversed(events) if event.type == "metrics"]
told["losses"] = [[data["step"], data["train_loss"]] for data in steps]
told["checkpoints"] = [row.model_dump() for row in jobs.checkpoints.list(job.id)]

model = job.fine_tuned_model
told["model"] = client.models.retrieve(model).model_dump()
told["models"] = [row.id for row in client.models.list()]
answer = client.chat.completions.create(
    model=model, messages=tests[0]["messages"], max_tokens=16, temperature=0
)
told["answer"] = [tests[0]["label"], answer.choices[0].message.content]
told["base"], told["tuned"] = confusion("swath-nano"), confusion(model)
told["removed"] = client.models.delete(model).deleted
told["after"] = refused(client.chat.completions.create, model=model, messages=tests[0]["messages"])
print(json.dumps(told, default=str))
