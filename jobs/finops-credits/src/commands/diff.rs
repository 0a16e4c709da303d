//! `diff`: what changed between two runs.

use lake::KeptRun;
use write_net_cost::changes::{Changes, changes_between};

use crate::Failure;
use crate::app::App;
use crate::changes_csv::flat;
use crate::changes_text::sections;
use crate::cli::{Diff, Format};
use crate::output::{Shown, print, print_json, print_lines};

pub(crate) async fn diff(app: &App, runs: &Diff) -> Result<(), Failure> {
    let (from, to) = pair(app, runs).await?;
    let changes = changes_between(&from, &to).await?;
    match app.format {
        Format::Json => print_json(serde_json::to_string_pretty(&changes)),
        Format::Csv => print(app, &[flat(&changes)?], Shown::Exact, ""),
        Format::Table => {
            let of = |run: &KeptRun| format!("{} as of {}", run.id(), run.staged().as_of);
            print_lines([format!("From run {}", of(&from)), format!("  to run {}", of(&to))])?;
            if changes.is_empty() {
                return print_lines(["", "Nothing changed."]);
            }
            print_changes(app, &changes, usize::MAX)
        }
    }
}

/// Prints sections with a table, lines, or both; of each at most so many entries.
pub(super) fn print_changes(app: &App, changes: &Changes, most: usize) -> Result<(), Failure> {
    for section in sections(changes, most)? {
        print_lines([String::new(), section.heading])?;
        if let Some(table) = section.table {
            print(app, &[table], Shown::Cents, "")?;
        }
        print_lines(section.lines)?;
    }
    Ok(())
}

/// The two runs, as they are named. One alone is compared with the published run, the one that started first before.
async fn pair(app: &App, Diff { from, to }: &Diff) -> Result<(KeptRun, KeptRun), Failure> {
    let named = async |name: Option<&str>, default| app.context.lake.named_run(name.unwrap_or(default)).await;
    let (first, second) = (named(from.as_deref(), "previous").await?, named(to.as_deref(), "published").await?);
    let is_after = first.staged().started_at > second.staged().started_at;
    Ok(if to.is_none() && is_after { (second, first) } else { (first, second) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::testing::{AS_OF, Shop};

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_are_named_by_id_or_place_and_one_alone_is_compared_with_the_published_one() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        shop.night("night-2", "2026-02-28").await;
        assert!(!shop.night("held-back", AS_OF).await.published);
        let app = shop.app("asking", AS_OF).await;
        let pair_of = async |from: Option<&str>, to: Option<&str>| {
            let runs = Diff { from: from.map(str::to_owned), to: to.map(str::to_owned) };
            pair(&app, &runs).await.map(|(from, to)| format!("{} {}", from.id(), to.id()))
        };
        let told = async |from: Option<&str>, to: Option<&str>| pair_of(from, to).await.unwrap();
        assert_eq!(told(None, None).await, "night-1 night-2");
        assert_eq!(told(Some("night-1"), None).await, "night-1 night-2");
        assert_eq!(told(Some("held"), None).await, "night-2 held-back", "the one that started first comes before");
        assert_eq!(told(Some("held-back"), Some("previous")).await, "held-back night-1", "two are as they are named");
        for unclear in ["night", "night-3", ""] {
            let failure = pair_of(Some(unclear), None).await.unwrap_err();
            assert_eq!(failure.kind, Kind::BadInput, "{failure}");
            assert!(failure.to_string().contains("night-1"), "it lists those that are kept: {failure}");
        }
    }
}
