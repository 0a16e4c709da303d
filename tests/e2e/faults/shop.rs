//! A small organisation that changes between two nights, and what a reader finds in its lake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Outcome, Workspace};
use crate::vectors::scenario;

/// Every command is given this date.
pub(crate) const AS_OF: &str = "2026-03-16";

/// Path below `published/` to content.
pub(crate) type Published = BTreeMap<String, Vec<u8>>;

/// Credit A is allocated from the first run on, by `allocations.csv` of the reference folder; credit B waits.
const FIRST_ALLOCATIONS: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,\
business_unit,department,portfolio,product
Credit A,111111111111,,100,USD,,A-1,Retail,,,
";

/// Two more lines of March: the period is read again.
const LATE_LINES: &str = "\
2026-03-01T00:00:00.000Z,AWS,999999999999,Payer,111111111111,2026-03-14T00:00:00.000Z,Usage,AmazonS3,USD,12.5,,eu-west-1,{},{},,
2026-03-01T00:00:00.000Z,AWS,999999999999,Payer,111111111111,2026-03-14T00:00:00.000Z,Credit,AmazonS3,USD,-3,Credit C,eu-west-1,{},{},,
";

/// The arguments that allocate credit B.
pub(crate) const ALLOCATE_B: [&str; 13] = [
    "allocate",
    "--key",
    "code:Credit B@111111111111",
    "--amount",
    "50",
    "--to",
    "Retail",
    "--end-date",
    "2026-03-15",
    "--by",
    "finance",
    "--recorded-at",
    "2026-03-16T09:00:00Z",
];

/// A workspace with three periods, two credits and one allocation.
pub(crate) struct Shop(pub(crate) Workspace);

impl Shop {
    /// Before the first night.
    pub(crate) fn new() -> Self {
        let workspace = Workspace::new();
        let folder = scenario("01-worked-example");
        workspace.copy(&folder.join("cur"), "cur");
        workspace.copy(&folder.join("reference"), "reference");
        workspace.write("reference/allocations.csv", FIRST_ALLOCATIONS);
        Self(workspace)
    }

    /// March as it is delivered in the second night.
    pub(crate) fn second_delivery(&self) -> String {
        let march = fs::read_to_string(scenario("01-worked-example").join("cur/cur-2026-03.csv"));
        march.expect("a readable file") + LATE_LINES
    }

    /// What happens by day: March is delivered again, and credit B is allocated.
    pub(crate) fn change(&self) {
        self.0.write("cur/cur-2026-03.csv", self.second_delivery());
        self.succeed(&ALLOCATE_B);
    }

    /// A command of the binary that has not been started yet, in the same empty surroundings as [`Workspace::run`].
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(AS_OF, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command and does not wait for it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("a started binary")
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.0.run(AS_OF, arguments)
    }

    /// Runs a command that must succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        self.0.try_run(AS_OF, arguments).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Rows of a query that must succeed, as lines of CSV without the header.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        let text = self.succeed(&["--format", "csv", "--raw", "query", sql]);
        text.lines().skip(1).map(str::to_owned).collect()
    }

    /// What a reader of the published folder sees; nothing before the first run.
    pub(crate) fn published(&self) -> Option<Published> {
        self.0.path("lake/published").exists().then(|| self.0.published())
    }

    /// The published run.
    pub(crate) fn published_run(&self) -> String {
        let target = fs::read_link(self.0.path("lake/published")).expect("a published run");
        target.file_name().expect("a run id").to_string_lossy().into_owned()
    }

    /// What a lake shows that nobody disturbed: after the first night, and after the second.
    pub(crate) fn undisturbed() -> [Published; 2] {
        let shop = Self::new();
        shop.succeed(&["run"]);
        let first = shop.0.published();
        shop.change();
        shop.succeed(&["run"]);
        let second = shop.0.published();
        assert_ne!(first, second, "the second night must show something new");
        [first, second]
    }

    /// Fails if the lake holds anything that no finished run accounts for.
    pub(crate) fn assert_tidy(&self) {
        let lake = self.0.path("lake");
        let top = [
            ".lock",
            "catalog.db",
            "generations",
            "lake.json",
            "published",
            "runs",
            "summaries",
            "superseded",
            "warehouse",
            "work",
        ];
        let strangers: Vec<String> = names(&lake).into_iter().filter(|name| !top.contains(&name.as_str())).collect();
        assert!(strangers.is_empty(), "left in the lake: {strangers:?}");
        let logged: BTreeSet<String> = self.rows("SELECT DISTINCT run_id FROM runs_log").into_iter().collect();
        assert_eq!(names(&lake.join("runs")), logged, "the run folders are those of published runs");
        let summaries: BTreeSet<String> = logged.iter().map(|run_id| format!("{run_id}.json")).collect();
        assert_eq!(names(&lake.join("summaries")), summaries, "and so are the summaries");
        assert!(logged.contains(&self.published_run()), "the published run is logged");
        let published = BTreeSet::from([self.published_run()]);
        assert_eq!(names(&lake.join("work")), published, "the intermediate tables of the published run and no others");
        for period in names(&lake.join("generations")) {
            let folder = lake.join("generations").join(&period);
            let pointer = fs::read(folder.join("current.json")).expect("a pointer for every period");
            let pointer: serde_json::Value = serde_json::from_slice(&pointer).expect("a whole pointer");
            let current = folder.join(pointer["folder"].as_str().expect("a folder"));
            let expected = ["cost_lines/part-0.parquet", "credit_lines/part-0.parquet", "generation.json"];
            assert_eq!(
                files(&current),
                expected.map(str::to_owned).into(),
                "{period}: the current generation is whole"
            );
            // What was superseded or given up stays for a day.
            let others = names(&folder).into_iter().filter(|name| name != "current.json" && !name.contains('-'));
            assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new(), "{period} holds generations and nothing else");
        }
        // Of older runs a test may have taken files away.
        let run = lake.join("published").canonicalize().expect("a published run");
        let manifest = fs::read(run.join("manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("a whole manifest");
        let listed = manifest["files"].as_object().expect("files").keys().cloned();
        assert_eq!(
            files(&run),
            listed.chain(["manifest.json".to_owned()]).collect(),
            "the published run holds what its manifest lists"
        );
    }
}

/// The exit code of a child that was started with [`Shop::start`], and what it wrote.
pub(crate) fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("an ended process");
    Outcome {
        exit_code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Names of everything right below a folder, none if it is not there.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Every file below a folder, as a path relative to it.
pub(crate) fn files(folder: &Path) -> BTreeSet<String> {
    let below = |name: String| {
        let path = folder.join(&name);
        if path.is_dir() && !path.is_symlink() {
            files(&path).into_iter().map(|file| format!("{name}/{file}")).collect()
        } else {
            BTreeSet::from([name])
        }
    };
    names(folder).into_iter().flat_map(below).collect()
}

/// Names the files in which two published states differ.
pub(crate) fn assert_same(context: &str, got: &Published, expected: &Published) {
    let all: BTreeSet<&String> = got.keys().chain(expected.keys()).collect();
    let differing: Vec<&String> = all.into_iter().filter(|name| got.get(*name) != expected.get(*name)).collect();
    assert!(differing.is_empty(), "{context}: published files differ: {differing:?}");
}

/// As if everything in a folder had been written two days ago.
pub(crate) fn make_old(folder: &Path) {
    let two_days = Duration::from_secs(2 * 24 * 60 * 60);
    let set = |path: &Path| {
        let file = fs::File::open(path).expect("an entry");
        let written = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
        file.set_modified(written - two_days).expect("another time");
    };
    for file in files(folder) {
        set(&folder.join(&file));
        for parent in Path::new(&file).ancestors().skip(1) {
            set(&folder.join(parent));
        }
    }
}
