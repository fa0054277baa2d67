"""Workers outlive whoever started them, and are found again."""

import time

from swath.serving.jobs.worker import LOCK, PROCESS, Followed, Worker


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_verb_runs_and_leaves_its_output(tmp_path):
    worker = Worker(tmp_path / "job")
    worker.start(["recipes"], tmp_path / "recipes.txt")
    wait_for(lambda: not worker.alive)
    assert "quickstart" in (tmp_path / "recipes.txt").read_text() and worker.error is None


def test_a_verb_that_fails_says_why(tmp_path):
    worker = Worker(tmp_path)
    worker.start(["tune", "no-such-recipe"])
    wait_for(lambda: not worker.alive)
    assert worker.error.startswith("no recipe 'no-such-recipe'")
    worker.start(["recipes"])  # what an earlier start said is past
    wait_for(lambda: not worker.alive)
    assert worker.error is None


def test_another_finds_and_ends_a_worker(tmp_path):
    worker, other = Worker(tmp_path), Worker(tmp_path)
    worker.start(["tune", "quickstart", "--home", str(tmp_path / "runs")])
    wait_for(lambda: (tmp_path / PROCESS).is_file())
    assert other.alive
    other.start(["recipes"])  # one is at it
    assert "$ swath recipes" not in (tmp_path / "log.txt").read_text()
    other.stop()
    assert not other.alive and not worker.alive
    assert (tmp_path / LOCK).is_file()


def test_a_process_that_is_not_the_worker_is_left_alone(tmp_path):
    import os

    from swath.files import write_json

    write_json(tmp_path / PROCESS, {"process": os.getpid(), "started": "long ago"})
    Worker(tmp_path).stop()


def test_a_followed_file_gives_each_whole_row_once_and_says_when_it_began_anew(tmp_path):
    file = tmp_path / "rows.jsonl"
    followed = Followed(file)
    assert followed.read() == ([], False)
    file.write_bytes(b'{"n": 1}\n{"n": 2')
    assert followed.read() == ([{"n": 1}], False)
    with file.open("ab") as stream:
        stream.write(b'2}\n{"n": 3}\n')
    assert followed.read() == ([{"n": 22}, {"n": 3}], False)
    assert followed.read() == ([], False)
    (tmp_path / "new.jsonl").write_bytes(b'{"n": 4}\n')
    (tmp_path / "new.jsonl").replace(file)
    assert followed.read() == ([{"n": 4}], True)


def test_a_folder_that_someone_sent_ends_no_process_and_is_not_at_work(tmp_path, monkeypatch):
    from swath.files import write_json
    from swath.serving.jobs import worker

    ended = []
    monkeypatch.setattr(worker.os, "killpg", lambda *group: ended.append(group))
    monkeypatch.setattr(worker.Worker, "alive", True)
    for number in (-1, 0, 1, "2"):  # 1 is all processes of this user
        write_json(tmp_path / PROCESS, {"process": number, "started": worker._started(1)})
        Worker(tmp_path)._signal(9)
    assert not ended
    monkeypatch.undo()
    (tmp_path / LOCK).write_text("no lock at all" * 100)
    assert not Worker(tmp_path).alive
