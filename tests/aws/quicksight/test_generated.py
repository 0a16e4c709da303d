"""The shipped files are what their sources make."""

import subprocess
import sys

SCRIPT = "infra/dashboards/generate.py"


def check(root, *arguments):
    return subprocess.run([sys.executable, str(root / SCRIPT), *arguments], capture_output=True, text=True)


def test_generated_files_are_what_the_generator_makes(root):
    done = check(root, "--check")
    assert done.returncode == 0, done.stderr


def test_a_change_by_hand_is_noticed(root, tmp_path):
    for folder in ("infra/dashboards", "schemas/athena/views"):
        (tmp_path / folder).mkdir(parents=True)
        for file in (root / folder).iterdir():
            if file.is_file():
                (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    text = (root / "infra/quicksight.yaml").read_text("utf-8")
    (tmp_path / "infra/quicksight.yaml").write_text(text, "utf-8")
    assert check(tmp_path, "--check").returncode == 0
    (tmp_path / "infra/quicksight.yaml").write_text(text.replace("Gross cost", "Net cost", 1), "utf-8")
    done = check(tmp_path, "--check")
    assert done.returncode != 0 and "quicksight.yaml" in done.stderr
    assert check(tmp_path).returncode == 0
    assert (tmp_path / "infra/quicksight.yaml").read_text("utf-8") == text
