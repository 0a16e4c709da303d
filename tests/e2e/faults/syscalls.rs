//! The n-th system call that changes the lake, or reads it, fails: a full disk, a broken one, a quota, a short write.
//!
//! A small library is compiled and preloaded (`failing_calls.c`). Whatever fails: what a command acknowledges is there,
//! readers see the state before or after, whole, the error is one line with a file in it, and the same command given again
//! ends as if nothing had happened.
//!
//! `FINOPS_FAULTS` sets how many calls of each command fail, one after the other; 0: every one, in every way
//! (`scripts/fault-test`).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::shop::{ALLOCATE_B, Published, Shop, make_old, outcome};
use crate::support::saved::Saved;
use crate::support::{Outcome, number};

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/faults/failing_calls.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failing_calls-{}.so", std::process::id()));
        let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
        let compiled = Command::new("cc").args(flags).arg(&library).arg(source).arg("-ldl").output();
        let compiled = compiled.expect("a C compiler, cc");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        library
    })
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// With this error, once.
    Once(i32),
    /// With this error, and all that follow, too.
    FromThenOn(i32),
    /// A write writes half, which is no failure.
    Short,
    /// A call that reads fails, once.
    Read(i32),
    /// The disk has room for so many more bytes.
    Room(u64),
}

const NO_SPACE: i32 = 28;
const IO: i32 = 5;
const QUOTA: i32 = 122;
const FAULTS: [Fault; 6] = [
    Fault::Once(NO_SPACE),
    Fault::Once(IO),
    Fault::FromThenOn(IO),
    Fault::Once(QUOTA),
    Fault::Short,
    Fault::FromThenOn(NO_SPACE),
];

/// What can be read of a lake: what is published, and what was recorded.
#[derive(PartialEq, Eq, Default)]
struct State {
    published: Option<Published>,
    recorded: Vec<String>,
    /// Runs and credits in the logs.
    logged: Vec<String>,
}

/// Whatever is recorded twice by the same person at the same instant is recorded once.
const RECORDED: &str = "SELECT DISTINCT credit_key, lot, action, amount, currency, end_date, reference, recorded_by, \
recorded_at FROM allocations_log ORDER BY 1, 9, 2, 3";

const LOGGED: &str = "SELECT 'runs', count(*), count(DISTINCT run_id) FROM runs_log UNION ALL \
SELECT 'credits', count(*), count(DISTINCT credit_key) FROM credits_log ORDER BY 1";

impl State {
    fn of(shop: &Shop) -> Self {
        // What reads a lake makes none, and a catalogue without logs is none.
        let asked = shop.0.run("2026-03-16", &["--format", "csv", "query", RECORDED]);
        if asked.exit_code == Some(4) && asked.stderr.starts_with("error: there is no lake at ") {
            let logged = ["credits,0,0", "runs,0,0"].map(str::to_owned).to_vec();
            return Self { published: shop.published(), recorded: Vec::new(), logged };
        }
        Self { published: shop.published(), recorded: shop.rows(RECORDED), logged: shop.rows(LOGGED) }
    }
}

/// A command on a lake with a history, and what comes of it undisturbed.
struct Act {
    shop: Shop,
    saved: Saved,
    arguments: Vec<String>,
    before: State,
    after: State,
    /// What is published by the run after it.
    next: Published,
    /// Calls that change files of the lake.
    calls: u64,
    /// Calls that read them.
    reads: u64,
    problems: Vec<String>,
}

impl Act {
    fn new(shop: Shop, arguments: &[&str]) -> Self {
        let saved = Saved::of(shop.0.path(""));
        let before = if shop.0.path("lake").exists() { State::of(&shop) } else { State::default() };
        saved.put_back();
        let arguments = arguments.iter().map(|word| word.replace("<shop>", &shop.0.path("").display().to_string()));
        let (next, after) = (Published::new(), State::default());
        let (arguments, problems) = (arguments.collect(), Vec::new());
        let mut act = Self { arguments, before, after, next, calls: 0, reads: 0, problems, saved, shop };
        let (_, reads) = act.disturbed(Some((0, Fault::Read(IO))));
        act.saved.put_back();
        let (ended, calls) = act.disturbed(None);
        assert_eq!(ended.exit_code, Some(0), "undisturbed: {ended:?}");
        (act.calls, act.reads) = (calls.len() as u64, reads.len() as u64);
        act.after = State::of(&act.shop);
        act.shop.succeed(&["run"]);
        act.next = act.shop.0.published();
        act
    }

    /// Gives the command where the call with this number fails. Also says which calls there were.
    fn disturbed(&self, fault: Option<(u64, Fault)>) -> (Outcome, Vec<String>) {
        let log = self.shop.0.path("elsewhere/calls.txt");
        let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.shop.command(&words);
        command.env("LD_PRELOAD", library()).env("FAIL_BELOW", self.shop.0.path("lake")).env("FAIL_LOG", &log);
        match fault {
            None => {}
            Some((_, Fault::Room(bytes))) => drop(command.env("FAIL_ROOM", bytes.to_string())),
            Some((at, fault)) => {
                command.env("FAIL_AT", at.to_string());
                let (errno, on) = match fault {
                    Fault::Once(errno) => (errno, false),
                    Fault::FromThenOn(errno) => (errno, true),
                    Fault::Read(errno) => {
                        command.env("FAIL_READS", "1");
                        (errno, false)
                    }
                    Fault::Short | Fault::Room(_) => (0, true),
                };
                command.env("FAIL_ERRNO", errno.to_string());
                if on {
                    command.env("FAIL_ON", "1");
                }
            }
        }
        let ended = outcome(command.spawn().expect("a started binary"));
        let calls = fs::read_to_string(log).unwrap_or_default();
        (ended, calls.lines().map(str::to_owned).collect())
    }

    /// One fault, what it leaves, and the same command again.
    fn play(&mut self, at: u64, fault: Fault) {
        self.saved.put_back();
        let (ended, calls) = self.disturbed(Some((at, fault)));
        let failed = calls.iter().find(|call| call.ends_with('!'));
        let what = format!("call {at} ({}), {fault:?}", failed.map_or("-", String::as_str));
        if let Err(problem) = self.look(&ended, fault) {
            self.problems.push(format!("{what}: {problem}\n    {:?} {}", ended.exit_code, ended.stderr.trim_end()));
        }
        if let Err(problem) = self.again(fault) {
            self.problems.push(format!("{what}, then the same again: {problem}"));
        }
    }

    fn look(&self, ended: &Outcome, fault: Fault) -> Result<(), String> {
        if ended.stderr.contains("panicked") {
            return Err("panicked".to_owned());
        }
        let left = catch_unwind(AssertUnwindSafe(|| State::of(&self.shop)));
        let left = left.map_err(|_panic| "the lake cannot be read".to_owned())?;
        if ended.exit_code == Some(0) {
            if left.recorded != self.after.recorded || left.published != self.after.published {
                return Err("exit code 0, and the effect is not there".to_owned());
            }
            let logged = left.logged == self.after.logged;
            return if logged { Ok(()) } else { Err(format!("exit code 0, and logged is {:?}", left.logged)) };
        }
        if left.published != self.before.published && left.published != self.after.published {
            return Err("readers see neither the state before nor the one after".to_owned());
        }
        if left.recorded != self.before.recorded && left.recorded != self.after.recorded {
            return Err(format!("recorded is neither nothing nor all: {:?}", left.recorded));
        }
        // What cannot be read may be damaged for all that a library tells.
        let allowed: &[i32] = if matches!(fault, Fault::Read(_)) { &[5, 6] } else { &[6] };
        if !ended.exit_code.is_some_and(|code| allowed.contains(&code)) {
            return Err("a disk that fails is exit code 6".to_owned());
        }
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { return Err("not one error on one line".to_owned()) };
        let names = ["/lake/", "/lake:", "catalog.db", "warehouse/"].iter().any(|name| error.contains(name));
        if names { Ok(()) } else { Err("the error names no file".to_owned()) }
    }

    fn again(&self, fault: Fault) -> Result<(), String> {
        let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let ended = self.shop.run(&words);
        // What was recorded although the answer was an error cannot be revoked once more.
        let was_revoked = words.contains(&"revoke") && ended.stderr.contains("is not allocated (revoked)");
        if ended.exit_code != Some(0) && !was_revoked {
            return Err(format!("exit code {:?}: {}", ended.exit_code, ended.stderr.trim_end()));
        }
        let healed = catch_unwind(AssertUnwindSafe(|| {
            let state = State::of(&self.shop);
            self.shop.succeed(&["run"]);
            // Where nothing could be removed either, what was given up stays for a day.
            if matches!(fault, Fault::FromThenOn(_)) {
                make_old(&self.shop.0.path("lake/generations"));
                self.shop.succeed(&["run"]);
            }
            self.shop.assert_tidy();
            (state, self.shop.0.published())
        }));
        let Ok((state, next)) = healed else { return Err("the lake does not heal".to_owned()) };
        if state.recorded != self.after.recorded || state.published != self.after.published {
            return Err("not what the command does undisturbed".to_owned());
        }
        if next == self.next { Ok(()) } else { Err("the next run publishes other tables".to_owned()) }
    }

    /// So many faults, evenly spread, or all; then disks that are full sooner or later.
    fn play_all(mut self, sample: u64) {
        let wanted = number("FINOPS_FAULTS", sample);
        let count = if wanted == 0 { self.calls } else { wanted.min(self.calls) };
        for place in 0..count {
            let at = 1 + place * self.calls / count;
            if wanted == 0 {
                FAULTS.iter().for_each(|fault| self.play(at, *fault));
            } else {
                self.play(at, FAULTS[usize::try_from(place).expect("a count") % FAULTS.len()]);
            }
        }
        let reads = if wanted == 0 { self.reads } else { wanted.div_ceil(2).min(self.reads) };
        for place in 0..reads {
            self.play(1 + place * self.reads / reads, Fault::Read(IO));
        }
        let rooms = if wanted == 0 { 64 } else { wanted.div_ceil(3) };
        for place in 0..rooms {
            self.play(0, Fault::Room(place * 65_536 / rooms));
        }
        assert!(
            self.problems.is_empty(),
            "{} ({} calls change, {} read): {} problems\n  {}",
            self.arguments.join(" "),
            self.calls,
            self.reads,
            self.problems.len(),
            self.problems.join("\n  ")
        );
    }
}

/// After the first night.
fn one_night() -> Shop {
    let shop = Shop::new();
    shop.succeed(&["run"]);
    shop
}

#[test]
fn first_run_on_a_disk_that_fails_leaves_nothing_or_all_and_the_next_one_heals() {
    Act::new(Shop::new(), &["run"]).play_all(12);
}

#[test]
fn run_on_a_disk_that_fails_shows_the_run_before_or_after_and_the_next_one_heals() {
    let shop = one_night();
    shop.change();
    Act::new(shop, &["run"]).play_all(18);
}

#[test]
fn publish_on_a_disk_that_fails_shows_the_run_before_or_after_and_given_again_completes() {
    let shop = one_night();
    shop.change();
    for job in ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost"] {
        shop.succeed(&["--run-id", "night", job]);
    }
    Act::new(shop, &["--run-id", "night", "publish"]).play_all(12);
}

#[test]
fn allocation_that_is_acknowledged_is_in_the_log_whatever_the_disk_does() {
    Act::new(one_night(), &ALLOCATE_B).play_all(18);
}

#[test]
fn import_that_is_acknowledged_is_in_the_log_whatever_the_disk_does() {
    const ROWS: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
        portfolio,product,allocation_id,recorded_at,recorded_by\n\
        Credit A,111111111111,,70,USD,,A-2,Retail,,,,a-2,2026-03-15T08:00:00Z,finance\n\
        Credit A,111111111111,,20,USD,,A-2,Retail,,,,a-2,2026-03-15T08:00:00Z,finance\n\
        Credit B,111111111111,,5,USD,,B-1,Retail,,,,b-1,2026-03-15T09:00:00Z,finance\n";
    let shop = one_night();
    shop.0.write("import.csv", ROWS);
    Act::new(shop, &["allocations", "import", "<shop>import.csv"]).play_all(12);
}

#[test]
fn revocation_that_is_acknowledged_is_in_the_log_whatever_the_disk_does() {
    let credit = ["revoke", "--key", "code:Credit A@111111111111", "--by", "finance"];
    let arguments = [&credit[..], &["--recorded-at", "2026-03-16T09:00:00Z"]].concat();
    Act::new(one_night(), &arguments).play_all(12);
}
