//! What is wrong with an input is said once and exactly, and nothing that is published changes.

mod allocations;
mod commands;
mod damage;
mod export;
mod notes;
mod paths;
mod reference;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::Workspace;

const AS_OF: &str = "2026-03-31";

const HEADER: &str = "bill_billing_period_start_date,bill_payer_account_id,bill_payer_account_name,\
                      line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,\
                      line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
                      line_item_line_item_description";
const USAGE: &str = "2026-01-01,999999999999,Payer,111111111111,2026-01-10,Usage,AmazonEC2,USD,60,";
const CREDIT: &str = "2026-01-01,999999999999,Payer,111111111111,2026-01-11,Credit,AmazonEC2,USD,-5,Credit A";
const TWINS: [&str; 2] = [
    "2026-01-01,999999999999,Payer,111111111111,2026-01-12,Credit,AmazonEC2,USD,-1,\"Twin, credit id: 1\"",
    "2026-01-01,999999999999,Payer,111111111111,2026-01-12,Credit,AmazonEC2,USD,-1,\"Twin, credit id: 2\"",
];

const HIERARCHY: &str = "business_unit,department,portfolio,product\nRetail,Online,,\n";
const RULES: &str = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                     cost_category_value,business_unit,department,portfolio,product,share\n\
                     retail,10,,111111111111,,,,,,,Retail,,,,\n";
const BUDGETS: &str =
    "billing_period,business_unit,department,portfolio,product,currency,amount\n2026-01,Retail,,,,USD,50\n";

/// A CUR 2.0 file of these lines.
fn cur_2(lines: &[&str]) -> String {
    [&[HEADER], lines, &[""]].concat().join("\n")
}

/// A workspace with good input and nothing run yet.
pub(crate) fn good_input() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("cur/good.csv", cur_2(&[USAGE, CREDIT, TWINS[0], TWINS[1]]));
    workspace.write("reference/hierarchy.csv", HIERARCHY);
    workspace.write("reference/cost_rules.csv", RULES);
    workspace.write("reference/budgets.csv", BUDGETS);
    workspace
}

/// A workspace after a good run, and what it published.
struct Published {
    workspace: Workspace,
    files: BTreeMap<String, Vec<u8>>,
    pointer: PathBuf,
}

impl Published {
    fn new() -> Self {
        let workspace = good_input();
        workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
        let files = workspace.published();
        let pointer = std::fs::read_link(workspace.path("lake/published")).expect("a pointer");
        Self { workspace, files, pointer }
    }

    /// The command ends with this exit code and this one error; all that is published stays, to the byte.
    fn refuses(&self, arguments: &[&str], exit_code: i32, message: &str) {
        refuses(&self.workspace, arguments, exit_code, message);
        let pointer = std::fs::read_link(self.workspace.path("lake/published")).expect("a pointer");
        assert_eq!(pointer, self.pointer, "after {message}");
        assert!(self.workspace.published() == self.files, "the published files changed after {message}");
    }

    /// [`Self::refuses`] for `run` on this export alone.
    fn refuses_export(&self, files: &[(&str, &[u8])], exit_code: i32, message: &str) {
        self.workspace.empty("cur");
        for (path, content) in files {
            self.workspace.write(&format!("cur/{path}"), content);
        }
        self.refuses(&["run"], exit_code, message);
    }

    /// [`Self::refuses`] for `run` with one reference file changed, which is mended afterwards.
    fn refuses_reference(&self, name: &str, content: &str, message: &str) {
        let path = format!("reference/{name}");
        let good = std::fs::read(self.workspace.path(&path)).ok();
        self.workspace.write(&path, content);
        self.refuses(&["run"], 3, message);
        match good {
            Some(good) => self.workspace.write(&path, good),
            None => std::fs::remove_file(self.workspace.path(&path)).expect("a removed file"),
        }
    }
}

/// The command ends with this exit code and this one error on stderr, without the workspace's own path.
fn refuses(workspace: &Workspace, arguments: &[&str], exit_code: i32, message: &str) {
    let outcome = workspace.run(AS_OF, arguments);
    let root = workspace.path("");
    let root = root.to_str().expect("a UTF-8 path").trim_end_matches('/');
    let said = outcome.stderr.replace(root, "<workspace>");
    assert_eq!(said.trim_end(), format!("error: {message}"), "{arguments:?}");
    assert_eq!(outcome.exit_code, Some(exit_code), "{arguments:?}: {message}");
    assert_eq!(outcome.stdout, "", "{arguments:?}: {message}");
}
