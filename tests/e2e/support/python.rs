//! Python with pinned packages, in a virtual environment that is made on first use and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of the environment for these requirements: where `variable` says, else `name` in the target folder.
pub(crate) fn python(requirements: &Path, variable: &str, name: &str) -> PathBuf {
    let venv = venv(variable, name);
    let wanted = fs::read_to_string(requirements).expect("the requirements");
    let (python, stamp) = (venv.join("bin/python"), venv.join("requirements.stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == wanted) && python.exists() {
        return python;
    }
    finish(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    finish(Command::new(&python).args(install).arg(requirements));
    fs::write(&stamp, wanted).expect("a written stamp");
    python
}

#[expect(clippy::disallowed_methods, reason = "where test tools are kept is no setting of the program")]
fn venv(variable: &str, name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this test");
    let target = this.ancestors().nth(3).expect("the target folder").to_path_buf();
    std::env::var(variable).map_or(target.join(name), PathBuf::from)
}

/// Runs a command that must succeed and returns what it printed.
pub(crate) fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8 on stdout")
}
