//! How many cases, from which seed, on how many threads.

use std::fmt::Debug;
use std::thread;

use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Runs of the binary wait more than they compute, but a machine that builds this has two cores at least.
const WORKERS: u8 = 2;

#[expect(clippy::disallowed_methods, reason = "these two variables are how one asks for more cases, or for other ones")]
fn variable<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The generator of a worker: another one for every property, the same one in every run.
fn generator(name: &str, seed: u64, worker: u8) -> TestRng {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = worker;
    for (place, letter) in bytes[9..].iter_mut().zip(name.bytes()) {
        *place = letter;
    }
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Panics with the smallest counterexample found, unless the property holds in all cases.
pub(super) fn holds<T: Debug>(
    name: &str,
    strategy: impl Fn() -> BoxedStrategy<T> + Sync,
    property: impl Fn(T) -> Result<(), String> + Sync,
) {
    holds_in(128, name, strategy, property);
}

/// As [`holds`], in another number of cases where nobody asks for more.
pub(super) fn holds_in<T: Debug>(
    cases: u32,
    name: &str,
    strategy: impl Fn() -> BoxedStrategy<T> + Sync,
    property: impl Fn(T) -> Result<(), String> + Sync,
) {
    let cases: u32 = variable("FINOPS_PROPERTY_CASES", cases);
    let seed: u64 = variable("FINOPS_PROPERTY_SEED", 0);
    let work = |worker: u8| {
        let cases = (cases + u32::from(worker)) / u32::from(WORKERS);
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 2000,
            max_shrink_time: 180_000,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, generator(name, seed, worker));
        match runner.run(&strategy(), |case| property(case).map_err(TestCaseError::fail)) {
            Ok(()) => String::new(),
            Err(TestError::Fail(reason, case)) => format!("{}\n{case:?}", reason.message()),
            Err(TestError::Abort(reason)) => reason.message().to_owned(),
        }
    };
    let work = &work;
    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker that ends")).collect()
    });
    for failure in failures {
        assert!(failure.is_empty(), "{name}, seed {seed}: {failure}");
    }
}
