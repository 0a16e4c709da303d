//! The little organisation of the formats with a history in its lake, put back as it was before every run.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::formats::incremental::june;
use crate::formats::{fixture, organisation};
use crate::support::saved::Saved;
use crate::support::{Workspace, binary, comparable};

/// After May 2026, in June: every command is given this date.
pub(super) const AS_OF: &str = "2026-06-10";
/// The run whose jobs but the last are done in [`Base::Midway`].
pub(super) const MIDWAY: &str = "midway";
/// What a command may take.
const SECONDS: u64 = 20;
/// Of address space.
const KIBIBYTES: u64 = 4 << 20;

/// What lies in the lake when the damage is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// There is no lake yet.
    New,
    /// After a run.
    Night,
    /// After all jobs of another run but `publish`.
    Midway,
}

/// A workspace and what it looks like before each run.
pub(super) struct World {
    pub(super) workspace: Workspace,
    night: Saved,
    midway: Saved,
    /// What is published in every base but the new one.
    pub(super) published: BTreeMap<String, Vec<u8>>,
    /// Files of the lake, by base.
    pub(super) lake: BTreeMap<&'static str, Vec<String>>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Above 128: by this signal and 128.
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) took: Duration,
}

impl Ended {
    pub(super) fn is_hang(&self) -> bool {
        self.took >= Duration::from_secs(SECONDS)
    }
}

/// Another credit, still to be allocated.
fn summer(june: &str) -> String {
    let line = june.lines().find(|line| line.contains("Spring Credits")).expect("a credit");
    line.replace("Spring Credits, credit id: 42", "Summer Promo, credit from account: 100000000001") + "\n"
}

impl World {
    pub(super) fn new() -> Self {
        let workspace = organisation();
        workspace.write("cur/may.csv", fixture("cur-2.0.csv"));
        workspace.write("cur/june.csv", june() + &summer(&june()));
        let budgets =
            "billing_period,business_unit,department,portfolio,product,currency,amount\n2026-05,Retail,,,,USD,50\n";
        workspace.write("reference/budgets.csv", budgets);
        let succeed =
            |arguments: &[&str]| workspace.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"));
        succeed(&["run"]);
        let allocate =
            ["allocate", "--key", "code:Summer Promo@100000000001", "--amount", "3", "--to", "Europe", "--by", "ana"];
        succeed(&[&allocate[..], &["--recorded-at", "2026-06-10T08:00:00Z"]].concat());
        succeed(&["--run-id", "night", "run"]);
        let night = Saved::of(workspace.path(""));
        let published = workspace.published();
        let files = |workspace: &Workspace| relative_files(&workspace.path("lake"));
        let mut lake = BTreeMap::from([("night", files(&workspace))]);
        for job in ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost"] {
            succeed(&["--run-id", MIDWAY, job]);
        }
        let midway = Saved::of(workspace.path(""));
        let staged = files(&workspace).into_iter().filter(|name| name.contains(MIDWAY)).collect();
        lake.insert("midway", staged);
        Self { workspace, night, midway, published, lake }
    }

    pub(super) fn put_back(&self, base: Base) {
        match base {
            Base::Midway => self.midway.put_back(),
            Base::Night => self.night.put_back(),
            Base::New => {
                self.night.put_back();
                fs::remove_dir_all(self.workspace.path("lake")).expect("a removed lake");
            }
        }
    }

    /// Runs a command with bounded time and memory.
    pub(super) fn run(&self, arguments: &[String]) -> Ended {
        let limits = format!("ulimit -v {KIBIBYTES}; ulimit -c 0; exec timeout -s KILL {SECONDS} \"$0\" \"$@\"");
        let start = Instant::now();
        let output = Command::new("sh")
            .args(["-c", &limits])
            .arg(binary())
            .arg("--config")
            .arg(self.workspace.path("credits.toml"))
            .args(if arguments.iter().any(|word| word == "history") { vec![] } else { vec!["--as-of", AS_OF] })
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.workspace.path("elsewhere/home"))
            .env("TMPDIR", self.workspace.path("elsewhere/tmp"))
            .current_dir(self.workspace.path("elsewhere/cwd"))
            .output()
            .expect("a started shell");
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| signal + 128));
        Ended { code: code.unwrap_or(-1), stdout: output.stdout, stderr: output.stderr, took: start.elapsed() }
    }

    /// What is published now, as far as it can be read.
    pub(super) fn published_now(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.workspace.path("lake/published");
        relative_files(&root)
            .into_iter()
            .map(|name| (name.clone(), fs::read(root.join(name)).unwrap_or_default()))
            .collect()
    }
}

impl World {
    /// What is published now, comparable with that of another run; its manifest is whole.
    pub(super) fn published_comparable(&self) -> BTreeMap<String, Vec<u8>> {
        let mut published = self.published_now();
        comparable(&mut published);
        published
    }
}

/// Every file below a folder, in order; links to folders are not followed, but for the folder itself.
fn relative_files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() && !path.is_symlink() {
                files.push(path.strip_prefix(root).expect("a path below").display().to_string());
            }
        }
    }
    files.sort();
    files
}
