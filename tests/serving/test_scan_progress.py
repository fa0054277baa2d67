from swath.inference.scenes.scan_journal import PLANNED, ScanJournal
from swath.serving.scans.scan_progress import ScanProgress

GROUP = {"tiles": {"0": [], "1": []}, "skipped": [5], "failed": [1]}


def shard(folder, name, group):
    journal = ScanJournal(folder, "same", name)
    if PLANNED not in journal:
        journal.put(PLANNED, {"planned": 8})
    journal.put(group, GROUP)
    journal.close()
    return max(folder.glob("*.jsonl"), key=lambda file: file.stat().st_ctime_ns)


def test_progress_counts_every_shard_and_a_journal_that_began_anew_once(tmp_path):
    progress = ScanProgress(tmp_path)
    assert progress.read()["planned"] == 0
    first = shard(tmp_path, "1/2", "0/0/0")
    shard(tmp_path, "2/2", "0/0/1")
    both = {"planned": 8, "asked": 4, "skipped": 2, "failed": 2}
    assert progress.read() == both
    assert progress.read() == both
    (tmp_path / "anew").write_bytes(first.read_bytes())
    (tmp_path / "anew").replace(first)
    assert progress.read() == both  # the other shard's tiles are not forgotten
