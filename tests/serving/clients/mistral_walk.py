"""The walk of Mistral's AID notebook with Mistral's client; prints what came of it as JSON.

    python mistral_walk.py ADDRESS FOLDER [MODEL]

FOLDER holds `train.jsonl`, lines to be learnt from, and `test.jsonl`, questions with their labels.
MODEL is a tuned model, for clients of which the tuning jobs were taken out.
"""

import json
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

try:
    from mistralai.client import Mistral
except ImportError:  # before 2.0
    from mistralai import Mistral

ADDRESS, FOLDER = sys.argv[1], Path(sys.argv[2])

client = Mistral(api_key="EMPTY", server_url=ADDRESS)
tests = [json.loads(line) for line in (FOLDER / "test.jsonl").read_text().splitlines()]
told = {"version": version("mistralai")}


def refused(call, **arguments):
    """Class and message of the client's own exception."""
    try:
        call(**arguments)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def upload(name, purpose):
    content = (FOLDER / name).read_bytes()
    return client.files.upload(file={"file_name": name, "content": content}, purpose=purpose)


def tuned():
    """A tuned model's name, made as in the notebook."""
    jobs = client.fine_tuning.jobs
    file = upload("train.jsonl", "fine-tune")
    told["file"] = json.loads(client.files.retrieve(file_id=file.id).model_dump_json())
    told["listed"] = file.id in [row.id for row in client.files.list(purpose="fine-tune").data]
    (FOLDER / "broken.jsonl").write_text('{"messages": [{"role": "user"}]}\n')
    settings = {"training_steps": 40, "learning_rate": 0.001, "weight_decay": 0.1}
    broken = {"file_id": upload("broken.jsonl", "fine-tune").id, "weight": 1}
    wrong = {"hyperparameters": settings, "training_files": [broken]}
    told["broken"] = refused(jobs.create, model="swath-nano", **wrong)
    question, said = json.loads((FOLDER / "train.jsonl").open().readline())["messages"]
    developer = {"role": "developer", "content": "Be brief."}
    (FOLDER / "openai.jsonl").write_text(json.dumps({"messages": [developer, question, said]}))
    openai = {"file_id": upload("openai.jsonl", "fine-tune").id, "weight": 1}
    told["other dialect"] = refused(
        jobs.create, model="swath-nano", **(wrong | {"training_files": [openai]})
    )
    told["gone"] = refused(jobs.create, model="gone", **wrong)
    told["unknown"] = refused(jobs.create, model="swath-nano", **(wrong | {"suffix": "a/b"}))
    job = jobs.create(
        model="swath-nano",
        training_files=[{"file_id": file.id, "weight": 1}],
        hyperparameters=settings,
        suffix="aid",
        auto_start=False,
    )
    while (job := jobs.get(job_id=job.id)).status in ("QUEUED", "VALIDATING"):
        time.sleep(0.5)
    told["validated"] = [job.status, job.metadata.expected_duration_seconds, job.metadata.cost]
    jobs.start(job_id=job.id)
    while (job := jobs.get(job_id=job.id)).status in ("QUEUED", "STARTED", "RUNNING"):
        time.sleep(0.5)
    told["job"] = json.loads(job.model_dump_json())
    told["found"] = job.id in [row.id for row in jobs.list(page=0, page_size=10).data]
    told["losses"] = [[row.step_number, row.metrics.train_loss] for row in job.checkpoints[::-1]]
    told["acts"] = refused(jobs.cancel, job_id=job.id)
    model = job.fine_tuned_model
    client.models.update(model_id=model, name="aid", description="names scenes")
    return model


def confusion(model, inline):
    """A batch of the test questions; how often each label was answered with which words."""
    lines = [
        {"custom_id": f"chip-{number}", "body": {"messages": test["messages"], "max_tokens": 16}}
        for number, test in enumerate(tests)
    ]
    (FOLDER / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = {"input_files": [upload("asked.jsonl", "batch").id]}
    if inline:
        source = {"requests": lines}
    jobs = client.batch.jobs
    batch = jobs.create(
        model=model, endpoint="/v1/chat/completions", metadata={"team": "north"}, **source
    )
    while (batch := jobs.get(job_id=batch.id)).status in ("QUEUED", "RUNNING"):
        time.sleep(0.5)
    told.setdefault("batches", []).append(json.loads(batch.model_dump_json()))
    if inline:
        rows = jobs.get(job_id=batch.id, inline=True).outputs
    else:
        text = client.files.download(file_id=batch.output_file).read().decode()
        rows = [json.loads(line) for line in text.splitlines()]
    counts = Counter()
    for row in rows:
        label = tests[int(row["custom_id"].split("-")[1])]["label"]
        counts[label, row["response"]["body"]["choices"][0]["message"]["content"]] += 1
    return [[*pair, count] for pair, count in counts.items()]


has_jobs = hasattr(client, "fine_tuning") and hasattr(client.fine_tuning, "jobs")
model = tuned() if has_jobs else sys.argv[3]
inline = not told["version"].startswith("1.")
card = client.models.retrieve(model_id=model)
told["model"] = json.loads(card.model_dump_json(by_alias=True))
told["models"] = [row.id for row in client.models.list().data]
answer = client.chat.complete(model=model, messages=tests[0]["messages"], max_tokens=16)
told["answer"] = [tests[0]["label"], answer.choices[0].message.content]
told["base"], told["tuned"] = confusion("swath-nano", False), confusion(model, inline)
told["no file"] = refused(client.files.retrieve, file_id="file-x")
print(json.dumps(told))
