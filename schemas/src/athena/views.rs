//! Views and the template that installs them.

use std::fmt::Write;

/// A view: one `SELECT` in Athena SQL under a head comment that says what question it answers, its grain and its columns.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Its name; ends in `_view`.
    pub name: &'static str,
    /// The file: head comment and query.
    pub text: &'static str,
}

/// A column of a view, as its head comment declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewColumn {
    /// Name.
    pub name: &'static str,
    /// Trino type, which is what a view's text holds.
    pub trino_type: &'static str,
    /// What it says.
    pub comment: &'static str,
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        &[$(View { name: $name, text: include_str!(concat!("../../athena/views/", $name, ".sql")) }),*]
    };
}

/// All views: for analysts, with exact amounts, then for dashboards.
pub const VIEWS: &[View] = views![
    "budget_variance_view",
    "credit_balances_view",
    "credit_burn_down_view",
    "credit_ledger_view",
    "credit_queue_view",
    "earned_vs_benefited_view",
    "executive_overview_view",
    "expiring_credits_view",
    "expiry_calendar_view",
    "hierarchy_view",
    "net_cost_daily_view",
    "net_cost_view",
    "reconciliation_view",
    "dashboard_budget_view",
    "dashboard_burn_down_view",
    "dashboard_earned_view",
    "dashboard_expiry_view",
    "dashboard_net_cost_daily_view",
    "dashboard_overview_view",
    "dashboard_queue_view",
    "dashboard_reconciliation_view",
    "dashboard_waterfall_view",
];

impl View {
    fn head(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().map_while(|line| line.strip_prefix("--"))
    }

    /// The question it answers.
    #[must_use]
    pub fn question(&self) -> &'static str {
        self.head().next().unwrap_or_default().trim()
    }

    /// The columns that identify a row, separated by commas.
    #[must_use]
    pub fn grain(&self) -> &'static str {
        self.head().find_map(|line| line.strip_prefix(" Grain: ")).unwrap_or_default()
    }

    /// The columns in order: name, type and meaning, in the lines below `Columns:`.
    #[must_use]
    pub fn columns(&self) -> Vec<ViewColumn> {
        let declared = self.head().skip_while(|line| *line != " Columns:").skip(1);
        let column = |line: &'static str| {
            let (name, rest) = line.trim().split_once(' ')?;
            let (trino_type, comment) = rest.trim().split_once(' ')?;
            Some(ViewColumn { name, trino_type, comment: comment.trim() })
        };
        declared.filter_map(column).collect()
    }

    /// The query, without the head comment.
    #[must_use]
    pub fn query(&self) -> &'static str {
        let head: usize = self.text.split_inclusive('\n').take_while(|line| line.starts_with("--")).map(str::len).sum();
        self.text.get(head..).unwrap_or_default().trim_end()
    }

    /// The text inside the comment that is a view to Athena and Trino, before Base64.
    fn presto_view(&self) -> String {
        let column =
            |column: &ViewColumn| format!("{{\"name\":{},\"type\":{}}}", json(column.name), json(column.trino_type));
        let columns: Vec<String> = self.columns().iter().map(column).collect();
        let sql = substitution_free(&json(self.query()));
        format!(
            "{{\"originalSql\":{sql},\"catalog\":\"awsdatacatalog\",\"schema\":\"${{Database}}\",\"columns\":[{}]}}",
            columns.join(",")
        )
    }
}

impl ViewColumn {
    /// The type as Glue spells it.
    #[must_use]
    pub fn hive_type(&self) -> &'static str {
        match self.trino_type {
            "varchar" => "string",
            "integer" => "int",
            other => other,
        }
    }
}

/// The CloudFormation template that installs all views.
///
/// Glue keeps a view as a table of type `VIRTUAL_VIEW` whose original text is a comment: JSON in Base64 with the query,
/// the schema in which its table names are looked up, and its columns with Trino types. It has the owner that views have which
/// Athena makes, and no description: Trino over Glue opens a view only so.
#[must_use]
pub fn views_template() -> String {
    let mut template = String::from(TEMPLATE_HEAD);
    for view in VIEWS {
        let _ = write!(
            template,
            "  {}:\n    Type: AWS::Glue::Table\n    Properties:\n      CatalogId: !Ref AWS::AccountId\n      \
             DatabaseName: !Ref Database\n      TableInput:\n        Name: {}\n        Owner: hadoop\n        \
             TableType: VIRTUAL_VIEW\n        Parameters: {{presto_view: 'true', comment: Presto View}}\n        \
             StorageDescriptor:\n          SerdeInfo: {{}}\n          Columns:\n",
            resource_name(view.name),
            view.name,
        );
        for column in view.columns() {
            let _ = writeln!(
                template,
                "            - {{Name: {}, Type: '{}', Comment: {}}}",
                column.name,
                column.hive_type(),
                json(column.comment)
            );
        }
        let _ = write!(
            template,
            "        ViewOriginalText: !Join\n          - ''\n          - - '/* Presto View: '\n            \
             - Fn::Base64: !Sub |-\n                {}\n            - ' */'\n        \
             ViewExpandedText: /* Presto View */\n",
            view.presto_view()
        );
    }
    template
}

const TEMPLATE_HEAD: &str = "\
# Generated from schemas/athena/views; a test keeps it true.
AWSTemplateFormatVersion: '2010-09-09'
Description: finops-credits, the Athena views

Parameters:
  Database:
    Type: String
    Default: finops_credits
    AllowedPattern: '[a-z0-9_]{1,255}'
    Description: Glue database of the tables. The views look up their tables in it and are put there.

Resources:
";

/// `credit_queue_view` as `CreditQueueView`.
fn resource_name(view: &str) -> String {
    let capital = |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
    view.split('_').map::<String, _>(capital).collect()
}

/// A JSON string, which is a YAML string too.
fn json(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// What `Fn::Sub` leaves as it is.
fn substitution_free(text: &str) -> String {
    text.replace("${", "${!")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View {
        name: "so_called_view",
        text: "-- What is it?\n--\n-- Grain: a, b\n-- Columns:\n--   a  varchar         One\n--   b  decimal(38,10)  \
               Two words\nSELECT a, -- first\n  '\\${b}' AS \"b\"\nFROM t\n",
    };

    #[test]
    fn a_view_is_read_from_its_file() {
        assert_eq!((VIEW.question(), VIEW.grain()), ("What is it?", "a, b"));
        assert_eq!(VIEW.query(), "SELECT a, -- first\n  '\\${b}' AS \"b\"\nFROM t");
        let columns: Vec<_> =
            VIEW.columns().iter().map(|column| (column.name, column.hive_type(), column.comment)).collect();
        assert_eq!(columns, [("a", "string", "One"), ("b", "decimal(38,10)", "Two words")]);
    }

    #[test]
    fn only_the_schema_of_a_views_text_is_substituted() {
        assert_eq!(
            VIEW.presto_view(),
            r#"{"originalSql":"SELECT a, -- first\n  '\\${!b}' AS \"b\"\nFROM t","catalog":"awsdatacatalog","schema":"${Database}","columns":[{"name":"a","type":"varchar"},{"name":"b","type":"decimal(38,10)"}]}"#
        );
        assert_eq!(resource_name(VIEW.name), "SoCalledView");
    }
}
