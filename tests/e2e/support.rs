//! The built binary in a workspace of its own: a settings file, an export, reference data, and nothing of this machine.

pub(crate) mod compare;
pub(crate) mod members;
pub(crate) mod python;
pub(crate) mod random;
pub(crate) mod saved;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tempfile::TempDir;

use compare::{Row, TABLES, Tables, csv_rows};
use members::{Members, SMALL_TASKS};

/// Settings that are enough for every scenario: local export, reference data and lake.
pub(crate) const SETTINGS: &str = "[source]
location = \"cur\"

[reference]
location = \"reference\"

[lake]
location = \"lake\"
";

/// The binary next to this test's own folder, as `cargo build --workspace` leaves it; another one, say an optimised
/// build, by `FINOPS_BINARY`.
#[expect(clippy::disallowed_methods, reason = "how one asks for another binary")]
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("FINOPS_BINARY") {
        return PathBuf::from(path);
    }
    let this = std::env::current_exe().expect("the path of this test");
    let name = format!("finops-credits{}", std::env::consts::EXE_SUFFIX);
    let path = this.parent().expect("a folder").join("..").join(name);
    assert!(path.exists(), "build first: cargo build --workspace ({} is missing)", path.display());
    path
}

/// How hard to test, by a variable of the environment.
#[expect(clippy::disallowed_methods, reason = "how hard to test is no setting of the program")]
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Commands that make a run as of a date.
const RUN_COMMANDS: [&str; 7] =
    ["run", "detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "athena-check", "publish"];

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit_code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("a started binary");
    Outcome {
        exit_code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

/// The sample organisation as of the end of its last month, published. Tests that hold it at the same time share it, so they
/// change nothing in it.
pub(crate) fn published_sample() -> Arc<Workspace> {
    static SHARED: Mutex<Weak<Workspace>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let made = Workspace::sample();
        made.try_run(SAMPLE_AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
        let made = Arc::new(made);
        *shared = Arc::downgrade(&made);
        made
    })
}

/// The last day of the sample organisation.
pub(crate) const SAMPLE_AS_OF: &str = "2026-10-31";

/// A folder with `credits.toml`, `cur/` and `reference/`; removed when dropped.
pub(crate) struct Workspace {
    members: OnceLock<Members>,
    root: TempDir,
}

impl Workspace {
    /// An empty workspace with [`SETTINGS`].
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let workspace = Self { members: OnceLock::new(), root };
        for folder in ["cur", "reference", "elsewhere/home", "elsewhere/tmp", "elsewhere/cwd"] {
            fs::create_dir_all(workspace.path(folder)).expect("a new folder");
        }
        workspace.write("credits.toml", SETTINGS);
        workspace
    }

    /// The sample organisation: its export where it lies, its reference files in the workspace.
    pub(crate) fn sample() -> Self {
        let (workspace, data) = (Self::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../data"));
        workspace.copy(&data.join("reference"), "reference");
        let export = format!("location = {:?}", data.join("cur"));
        workspace.write("credits.toml", SETTINGS.replace("location = \"cur\"", &export));
        workspace
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file, with its folders.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        fs::write(path, content).expect("a written file");
    }

    /// Removes a folder and what is in it, and leaves it empty.
    pub(crate) fn empty(&self, relative: &str) {
        let path = self.path(relative);
        fs::remove_dir_all(&path).expect("a removed folder");
        fs::create_dir_all(&path).expect("a new folder");
    }

    /// Copies a folder of files into the workspace.
    pub(crate) fn copy(&self, from: &Path, relative: &str) {
        for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
            let entry = entry.expect("a folder entry");
            let name = entry.file_name().into_string().expect("a UTF-8 name");
            self.write(&format!("{relative}/{name}"), fs::read(entry.path()).expect("a readable file"));
        }
    }

    /// Runs the binary as of a date, with an environment and a current folder that say nothing.
    pub(crate) fn run(&self, as_of: &str, arguments: &[&str]) -> Outcome {
        outcome(&mut self.command(as_of, arguments))
    }

    /// Runs the binary with other settings.
    pub(crate) fn run_with(&self, config: &Path, arguments: &[&str]) -> Outcome {
        outcome(self.command_with(config).args(arguments))
    }

    /// What [`run`](Self::run) runs. Commands that read would answer from the run of a date that they are given: theirs stands
    /// in settings of their own.
    pub(crate) fn command(&self, as_of: &str, arguments: &[&str]) -> Command {
        let settings = self.path("credits.toml");
        let is_run = arguments.iter().any(|argument| RUN_COMMANDS.contains(argument));
        let dated = (!is_run).then(|| self.dated(&settings, as_of)).flatten();
        let clustered = is_run.then(|| self.clustered(&settings)).flatten();
        let mut command = self.command_with(dated.as_ref().or(clustered.as_ref()).unwrap_or(&settings));
        if let Some(members) = clustered.and_then(|_| self.members.get()) {
            command.env("FINOPS_CREDITS_SCHEDULER", members.scheduler_url());
        }
        if dated.is_none() {
            command.args(["--as-of", as_of]);
        }
        command.args(arguments);
        command
    }

    /// Where `FINOPS_ON_CLUSTER` says how many executors: the settings as they are, for small tasks on a cluster of this
    /// workspace. None where they cannot be read.
    fn clustered(&self, settings: &Path) -> Option<PathBuf> {
        let executors = usize::try_from(number("FINOPS_ON_CLUSTER", 0)).ok().filter(|executors| *executors > 0)?;
        let text = fs::read_to_string(settings).ok()?;
        let file = self.path("credits.on-cluster.toml");
        fs::write(&file, text + SMALL_TASKS).ok()?;
        self.members.get_or_init(|| Members::start(&self.path("members"), settings, executors));
        Some(file)
    }

    /// The settings as they are, with this date; none where they cannot be read.
    fn dated(&self, settings: &Path, as_of: &str) -> Option<PathBuf> {
        let text = fs::read_to_string(settings).ok()?;
        let others = text.lines().filter(|line| !line.starts_with("as_of ") && *line != "[run]");
        let (before, run): (Vec<&str>, Vec<&str>) = match text.split_once("[run]\n") {
            Some((before, _)) => others.partition(|line| before.contains(*line)),
            None => (others.collect(), Vec::new()),
        };
        let text = format!("{}\n[run]\nas_of = \"{as_of}\"\n{}\n", before.join("\n"), run.join("\n"));
        let dated = self.path(&format!("credits.{as_of}.toml"));
        if fs::read_to_string(&dated).ok().as_ref() != Some(&text) {
            fs::write(&dated, text).ok()?;
        }
        Some(dated)
    }

    /// The binary with these settings, an environment and a current folder that say nothing.
    pub(crate) fn command_with(&self, config: &Path) -> Command {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .env("HOME", self.path("elsewhere/home"))
            .env("TMPDIR", self.path("elsewhere/tmp"))
            .current_dir(self.path("elsewhere/cwd"))
            .arg("--config")
            .arg(config);
        command
    }

    /// Runs the binary and returns its standard output, or says what went wrong.
    pub(crate) fn try_run(&self, as_of: &str, arguments: &[&str]) -> Result<String, String> {
        let Outcome { exit_code, stdout, stderr } = self.run(as_of, arguments);
        if exit_code == Some(0) {
            Ok(stdout)
        } else {
            Err(format!("{arguments:?} as of {as_of}: exit code {exit_code:?}\n{stdout}\n{stderr}"))
        }
    }

    /// Rows of a query.
    pub(crate) fn query(&self, as_of: &str, sql: &str) -> Result<Vec<Row>, String> {
        self.try_run(as_of, &["--format", "csv", "--raw", "query", sql]).map(|text| csv_rows(&text))
    }

    /// All compared tables by one query, because starting the binary costs more than reading them.
    pub(crate) fn tables(&self, as_of: &str) -> Result<Tables, String> {
        let width = TABLES.iter().map(|table| table.columns().count()).max().expect("a table");
        let selects: Vec<String> = TABLES
            .iter()
            .map(|table| {
                let mut columns: Vec<String> =
                    table.columns().map(|column| format!("CAST({column} AS VARCHAR)")).collect();
                columns.resize(width, "CAST(NULL AS VARCHAR)".to_owned());
                let columns: Vec<String> =
                    columns.iter().enumerate().map(|(position, column)| format!("{column} AS c{position}")).collect();
                format!("SELECT '{0}' AS name, {1} FROM {0}", table.name, columns.join(", "))
            })
            .collect();
        let rows = self.query(as_of, &selects.join(" UNION ALL "))?;
        let mut tables: Tables = TABLES.iter().map(|table| (table.name.to_owned(), Vec::new())).collect();
        for row in rows {
            let table = compare::table(&row["name"]);
            let named = table.columns().enumerate();
            let named = named.map(|(position, column)| (column.to_owned(), row[&format!("c{position}")].clone()));
            tables.get_mut(table.name).expect("a known table").push(named.collect());
        }
        Ok(tables)
    }

    /// Every published file: path below `published/` to content, [`comparable`] with that of another run.
    pub(crate) fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.path("lake/published");
        let mut files = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
                let path = entry.expect("a folder entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("a path below").display().to_string();
                    files.insert(name, fs::read(&path).expect("a readable file"));
                }
            }
        }
        comparable(&mut files);
        files
    }
}

/// Leaves of a run's manifest the sizes and checksums of files: it also says which run this one follows, when it started,
/// and digests that cover when files of the export were written.
pub(crate) fn comparable(files: &mut BTreeMap<String, Vec<u8>>) {
    let Some(manifest) = files.get_mut("manifest.json") else { return };
    let mut whole: serde_json::Value = serde_json::from_slice(manifest).expect("a whole manifest");
    for file in whole["files"].as_object_mut().expect("files").values_mut() {
        file.as_object_mut().expect("what is known of a file").remove("inputs");
    }
    *manifest = whole["files"].to_string().into_bytes();
}
