//! `kill -9` at any moment of a run.
//!
//! `FINOPS_KILLS` sets how often (`scripts/kill-test.sh 200`), `FINOPS_SEED` where exactly.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::shop::{Published, Shop, assert_same};
use crate::support::number;
use crate::support::random::Random;

const PUBLISHED: &str = "6 publish, after the switch";
const ENDED: &str = "7 had ended already";

fn fraction(numerator: u64, denominator: u64) -> f64 {
    let exact = |count: u64| f64::from(u32::try_from(count).expect("a count"));
    exact(numerator) / exact(denominator)
}

fn report(text: &str) {
    // Not captured by the test harness, so that a long test shows where it is.
    writeln!(std::io::stderr().lock(), "{text}").expect("a writable stderr");
}

/// The longest of three undisturbed runs: what comes late in a run must be hit, too.
fn longest_run(prepare: impl Fn() -> Shop) -> Duration {
    let timed = |_| {
        let shop = prepare();
        let start = Instant::now();
        shop.succeed(&["run"]);
        start.elapsed()
    };
    (0..3).map(timed).max().expect("three runs")
}

/// How far a run had come, as the lake shows it.
fn stage(shop: &Shop, run_id: &str) -> &'static str {
    let done = |job: &str| shop.0.path(&format!("lake/work/{run_id}/{job}.json")).exists();
    let published = shop.published().is_some() && shop.published_run() == run_id;
    match () {
        () if published => PUBLISHED,
        () if done("write-net-cost") => "5 publish, before the switch",
        () if done("apply-fifo") => "4 write-net-cost",
        () if done("join-allocations") => "3 apply-fifo",
        () if done("detect-credits") => "2 join-allocations",
        () => "1 detect-credits",
    }
}

/// When to kill: so long after this job of the run is done, or after the start.
#[derive(Clone, Copy, Debug)]
struct Moment {
    job: Option<&'static str>,
    delay: Duration,
}

/// Jobs whose successor is hit on purpose, and about which part of a run that takes; `None`: any time.
const AIMS: [(Option<&str>, f64); 6] = [
    (None, 1.0),
    (Some("apply-fifo"), 0.3),
    (Some("write-net-cost"), 0.06),
    (None, 1.0),
    (Some("detect-credits"), 0.1),
    (Some("join-allocations"), 0.1),
];

/// Starts a run, kills it at the moment, and says how far it had come; `None` if it had ended before.
fn kill_a_run(shop: &Shop, run_id: &str, moment: Moment) -> Option<&'static str> {
    let mut run = shop.start(&["--run-id", run_id, "run"]);
    if let Some(job) = moment.job {
        let record = shop.0.path(&format!("lake/work/{run_id}/{job}.json"));
        while !record.exists() && run.try_wait().expect("a process").is_none() {
            sleep(Duration::from_millis(1));
        }
    }
    sleep(moment.delay);
    let ended = run.try_wait().expect("a process").is_some();
    run.kill().expect("a killed process");
    run.wait().expect("an ended process");
    (!ended).then(|| stage(shop, run_id))
}

/// A killed run shows the state before or the state after it, whole, and the next run mends everything else.
fn kill_and_mend(
    shop: &Shop,
    name: &str,
    moment: Moment,
    before: Option<&Published>,
    after: &Published,
) -> &'static str {
    let stage = kill_a_run(shop, name, moment);
    let seen = shop.published();
    let whole = seen.as_ref() == before || seen.as_ref() == Some(after);
    assert!(whole, "{name}, killed at {moment:?}: a reader sees neither the run before nor this one");
    // One that was killed at once has made no lake.
    let logged = match shop.0.path("lake/catalog.db").exists() {
        true => shop.rows("SELECT count(*) FROM runs_log"),
        false => vec!["0".to_owned()],
    };
    assert_eq!(logged.len(), 1, "{name}, killed at {moment:?}: the logs can be read");
    shop.succeed(&["run"]);
    assert_same(&format!("{name}, killed at {moment:?} ({stage:?}), run again"), &shop.0.published(), after);
    shop.assert_tidy();
    stage.unwrap_or(ENDED)
}

#[test]
fn killed_run_shows_a_whole_run_and_the_next_run_ends_as_if_nothing_had_happened() {
    let kills = number("FINOPS_KILLS", 6);
    let mut random = Random(number("FINOPS_SEED", 1));
    let [first, second] = Shop::undisturbed();
    let mut longest = [
        longest_run(Shop::new),
        longest_run(|| {
            let shop = Shop::new();
            shop.succeed(&["run"]);
            shop.change();
            shop
        }),
    ];
    let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut killed, slices) = (0, kills.div_ceil(2));
    for pair in 0..slices.saturating_mul(3) {
        if killed >= kills {
            break;
        }
        let shop = Shop::new();
        // A slice of the run per pair, in mixed order, and a random moment in it: few kills still reach every part.
        let slice = fraction(pair * 7919 % slices, slices);
        for (night, before, after) in [(0, None, &first), (1, Some(&first), &second)] {
            if night == 1 {
                shop.change();
            }
            let part = slice + random.fraction() * fraction(1, slices);
            let (job, span) = AIMS[usize::try_from(pair).expect("a count") % AIMS.len()];
            let moment = Moment { job, delay: longest[night].mul_f64(part * span) };
            let stage = kill_and_mend(&shop, &format!("kill-{pair}-{night}"), moment, before, after);
            *stages.entry(stage).or_default() += 1;
            killed += u64::from(stage != ENDED);
            // How long a run takes depends on what else this machine does.
            longest[night] = longest[night].mul_f64(match stage {
                ENDED if job.is_none() => 0.93,
                _ if job.is_none() && part > 0.85 && stage < PUBLISHED => 1.05,
                _ => 1.0,
            });
        }
        if kills > 20 {
            report(&format!("{killed} of {kills} kills: {stages:?}"));
        }
    }
    assert!(killed >= kills, "only {killed} of {kills} runs were still alive when killed: {stages:?}");
    report(&format!("{killed} kills, every one mended by the next run: {stages:?}"));
}
