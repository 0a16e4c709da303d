//! Damaged input files of every kind: seeded mutations, each met by a command of the binary in a workspace of its own.
//!
//! `scripts/fuzz-inputs RUNS SEED` plays many. `FINOPS_FUZZ_RUNS` sets how many, `FINOPS_FUZZ_SEED` which,
//! `FINOPS_FUZZ_FIRST` the number of the first: a finding's number with one run plays it again. `FINOPS_FUZZ_KIND` names the
//! only kind of file to damage. Names and contents of a
//! lake's files differ from one to the next in their random ids, so damage to a lake is played again in kind only;
//! the damaged file itself is kept with the finding.

mod bytes;
mod cases;
mod text;
mod thrift;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cases::{Case, KINDS, Seeds, only_kind};
use verdict::faults;
use world::{Base, Ended, World};

use crate::support::number;
use crate::support::random::Random;

/// What came of all runs.
#[derive(Default)]
struct Report {
    /// Runs by kind and exit code.
    ends: BTreeMap<(&'static str, i32), u64>,
    /// What was found, and by which runs.
    findings: BTreeMap<String, Vec<u64>>,
    slowest_ms: u128,
}

/// A reading command after a good run, so that what was taken is shown, too.
const SHOWN: [&[&str]; 6] = [
    &["queue"],
    &["--format", "csv", "queue"],
    &["credits"],
    &["--format", "json", "credits"],
    &["--format", "csv", "query", "SELECT * FROM credits"],
    &["query", "SELECT DISTINCT account_id, service, currency FROM net_cost"],
];

struct Fuzz {
    seed: u64,
    seeds: Seeds,
    folder: PathBuf,
    next: AtomicU64,
    end: u64,
    report: Mutex<Report>,
}

impl Fuzz {
    fn work(&self) {
        let world = World::new();
        loop {
            let run = self.next.fetch_add(1, Ordering::Relaxed);
            if run >= self.end {
                return;
            }
            let mut random = Random::of_run(self.seed, run);
            let case = Case::new(&self.seeds, &world, &mut random);
            case.install(&world);
            let before = if case.base == Base::New { BTreeMap::new() } else { world.published_now() };
            let arguments = case.command(&world);
            let ended = world.run(&arguments);
            let mut found = faults(&case, &world, &ended, &before);
            self.keep(run, &case, &arguments, &ended, &found);
            if ended.code == 0 && !case.is_state() && case.kind != "settings" && random.percent(30) {
                let arguments: Vec<String> = random.pick(&SHOWN).iter().map(|word| (*word).to_owned()).collect();
                let shown = world.run(&arguments);
                let mut faults = verdict::of_output(&shown, &arguments);
                faults.extend(verdict::formulas(&shown).filter(|_| arguments.contains(&"csv".to_owned())));
                if shown.code != 0 {
                    faults.push(format!("{}: exit code {}", arguments.join(" "), shown.code));
                }
                self.keep(run, &case, &arguments, &shown, &faults);
                found.extend(faults);
            }
            let mut report = self.report.lock().expect("a report");
            *report.ends.entry((case.kind, ended.code)).or_default() += 1;
            report.slowest_ms = report.slowest_ms.max(ended.took.as_millis());
            for fault in found {
                report.findings.entry(format!("{}: {fault}", case.kind)).or_default().push(run);
            }
        }
    }

    /// Leaves a finding to be looked at.
    fn keep(&self, run: u64, case: &Case, arguments: &[String], ended: &Ended, faults: &[String]) {
        if faults.is_empty() {
            return;
        }
        let folder = self.folder.join(format!("{run}"));
        let file = folder.join(&case.path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, &case.content).expect("a written file");
        let text = format!(
            "seed {}, run {run}: {}\n{} in {:?}\n{}\nexit code {} after {:?}\n--- stdout\n{}\n--- stderr\n{}\n",
            self.seed,
            faults.join("; "),
            case.path,
            case.base,
            arguments.join(" "),
            ended.code,
            ended.took,
            String::from_utf8_lossy(&ended.stdout).escape_debug(),
            String::from_utf8_lossy(&ended.stderr).escape_debug(),
        );
        let written = fs::File::options().create(true).append(true).open(folder.join("what.txt"));
        written.expect("a file").write_all(text.as_bytes()).expect("a written file");
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for (kind, _) in KINDS {
            let ends = self.ends.iter().filter(|((of, _), _)| *of == kind);
            let ends: Vec<String> = ends.map(|((_, code), runs)| format!("exit {code}: {runs}")).collect();
            writeln!(text, "{kind:12} {}", ends.join(", ")).expect("a text");
        }
        let runs: u64 = self.ends.values().sum();
        let found: usize = self.findings.values().map(Vec::len).sum();
        writeln!(text, "{runs} runs, slowest {} ms, {found} findings", self.slowest_ms).expect("a text");
        for (finding, runs) in &self.findings {
            writeln!(text, "  {} x {finding} (run {})", runs.len(), runs[0]).expect("a text");
        }
        text
    }
}

#[test]
fn damaged_input_is_refused_by_name_or_read_and_never_a_panic_a_hang_or_a_loss() {
    let (seed, first) = (number("FINOPS_FUZZ_SEED", 1), number("FINOPS_FUZZ_FIRST", 0));
    let runs = number("FINOPS_FUZZ_RUNS", 2000);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-findings-{seed}"));
    let _none_yet = fs::remove_dir_all(&folder);
    let (next, end) = (AtomicU64::new(first), first + runs);
    let fuzz = Fuzz { seed, seeds: Seeds::new(), folder, next, end, report: Mutex::default() };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| fuzz.work());
        }
    });
    let report = fuzz.report.into_inner().expect("a report");
    writeln!(std::io::stderr().lock(), "{}", report.text()).expect("a writable stderr");
    assert!(report.findings.is_empty(), "findings, kept in {}", fuzz.folder.display());
    // Damage that nothing survives would show nothing but the first check of a file.
    let taken = |kind| report.ends.get(&(kind, 0)).is_some_and(|runs| *runs > 0);
    assert!(
        runs < 500 || only_kind().is_some() || KINDS.iter().all(|(kind, _)| taken(*kind)),
        "some kind of file was never taken"
    );
}
