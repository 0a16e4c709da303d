//! Members of a cluster that are killed at any moment. `FINOPS_CLUSTER_KILLS` (default 2) sets how often each is.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{AS_OF, on, published_here, run_on};
use crate::determinism::sample;
use crate::faults::shop::assert_same;
use crate::support::members::Members;
use crate::support::random::Random;
use crate::support::{Outcome, Workspace, number};

struct Night {
    workspace: Workspace,
    members: Members,
    expected: BTreeMap<String, Vec<u8>>,
    /// How long a run takes that nobody disturbs.
    undisturbed: Duration,
}

impl Night {
    fn new() -> Self {
        let workspace = sample(None);
        let expected = published_here(&workspace, AS_OF);
        let members = Members::start(&workspace.path("members"), &workspace.path("credits.toml"), 2);
        let mut night = Self { workspace, members, expected, undisturbed: Duration::ZERO };
        // Once before, so that all are there.
        for _ in 0..2 {
            let begun = Instant::now();
            night.must_publish("nobody");
            night.undisturbed = begun.elapsed();
            night.forget();
        }
        night
    }

    fn forget(&self) {
        let _not_there = fs::remove_dir_all(self.workspace.path("lake"));
    }

    fn must_publish(&self, context: &str) {
        let Outcome { exit_code, stderr, .. } = run_on(&self.members, &self.workspace, AS_OF);
        assert_eq!(exit_code, Some(0), "{context}: {stderr}");
        assert_same(context, &self.workspace.published(), &self.expected);
    }

    /// A run, in the middle of which something happens; its outcome, where it is not the driver that is killed.
    fn disturbed(&mut self, after: Duration, disturb: impl FnOnce(&mut Members, &mut Child)) -> Outcome {
        let mut command = on(&self.members, &self.workspace, AS_OF);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut driver = command.spawn().expect("a started driver");
        std::thread::sleep(after);
        disturb(&mut self.members, &mut driver);
        let begun = Instant::now();
        let outcome = crate::faults::shop::outcome(driver);
        assert!(begun.elapsed() < Duration::from_secs(100), "within the deadline: {:?}", begun.elapsed());
        outcome
    }

    /// Published is all or nothing; what was lost is told as that.
    fn check(&self, context: &str, outcome: &Outcome) {
        match outcome.exit_code {
            Some(0) => assert_same(context, &self.workspace.published(), &self.expected),
            Some(6) => assert!(!self.workspace.path("lake/published").exists(), "{context}"),
            other => panic!("{context}: exit code {other:?}: {}", outcome.stderr),
        }
    }
}

fn killed(member: &mut Child) {
    let _gone_already = member.kill();
    let _reaped_already = member.wait();
}

#[test]
fn member_that_is_killed_at_any_moment_costs_at_most_a_retry() {
    let mut night = Night::new();
    for case in 0..number("FINOPS_CLUSTER_KILLS", 2) {
        let mut random = Random::of_run(18, case);
        for member in ["executor", "scheduler", "driver"] {
            let after = night.undisturbed.mul_f64(random.fraction());
            let context = format!("case {case}: {member} killed after {after:?}");
            let outcome = night.disturbed(after, |members, driver| match member {
                "executor" => {
                    let mut executor = members.executors.remove(0);
                    killed(&mut executor);
                }
                "scheduler" => killed(&mut members.scheduler),
                _ => {
                    let _gone_already = driver.kill();
                }
            });
            if member == "driver" {
                let is_whole = night.workspace.path("lake/published").exists();
                assert!(!is_whole || night.workspace.published() == night.expected, "{context}");
            } else {
                night.check(&context, &outcome);
            }
            match member {
                "executor" => night.members.add_executor(),
                "scheduler" => night.members.restart_scheduler(),
                _ => {}
            }
            night.must_publish(&format!("{context}, tried again"));
            night.forget();
        }
    }
}
