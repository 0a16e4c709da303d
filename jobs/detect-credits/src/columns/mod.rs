//! Which format a file has, and where each value of a line stands in it.
//!
//! CUR 1.0 (`lineItem/UnblendedCost`, or `line_item_unblended_cost` in Parquet) and CUR 2.0 name columns alike once
//! folded to snake case; they differ in tags, cost categories and products: a column per key, or a map. FOCUS names
//! compare without regard to case.

mod costs;
mod cur;
mod exclusions;
mod focus;
mod picker;

use cur_reader::{Format, recognise};
use schemas::excerpt;
use schemas::reference::{Problem, Problems, foreign_separator};
use schemas::settings::CostColumn;

use crate::lines::LineReader;
use crate::stated::stated_of;

pub(crate) use costs::{Costs, Role};
pub(crate) use exclusions::{Exclusions, Unapplied};

use picker::Picker;

/// Where values come from: positions in the projected columns of a file.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// Names of the projected columns, as the file spells them.
    pub(crate) projection: Vec<String>,
    pub(crate) period: usize,
    pub(crate) payer: usize,
    pub(crate) account: usize,
    pub(crate) start: usize,
    pub(crate) line_type: usize,
    pub(crate) description: usize,
    pub(crate) cost: usize,
    pub(crate) currency: Option<usize>,
    /// Tried in order.
    pub(crate) service: Vec<usize>,
    /// Tried in order, then the product map.
    pub(crate) region: Vec<usize>,
    pub(crate) product: KeyedSources,
    pub(crate) billing_entity: Option<usize>,
    pub(crate) publisher: Option<usize>,
    pub(crate) invoice_issuer: Option<usize>,
    pub(crate) invoice: Option<usize>,
    pub(crate) reservation_arn: Option<usize>,
    pub(crate) savings_plan_arn: Option<usize>,
    pub(crate) charge_class: Option<usize>,
    pub(crate) charge_frequency: Option<usize>,
    pub(crate) commitment_id: Option<usize>,
    pub(crate) costs: Costs,
    pub(crate) exclusions: Exclusions,
    pub(crate) tags: KeyedSources,
    pub(crate) categories: KeyedSources,
}

/// Where the wanted keys of tags, cost categories or the product map come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyedSources {
    /// Map columns.
    pub(crate) maps: Vec<usize>,
    /// Plain columns: position of the wanted key, and the column.
    pub(crate) columns: Vec<(usize, usize)>,
}

/// Finds everything a scan needs in a file's columns.
pub(crate) fn layout(file: &str, names: &[String], reader: &LineReader) -> Result<Layout, Problems> {
    let problem = |message: String| Problems(vec![Problem { file: file.to_owned(), row: None, column: None, message }]);
    let shown: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(separator) = foreign_separator(&shown) {
        return Err(problem(format!("the columns are separated by {separator}; deliver the file with commas")));
    }
    let format = recognise(names).ok_or_else(|| problem(unknown_format(names)))?;
    let folded = match format {
        Format::Focus => names.iter().map(|name| name.to_lowercase()).collect(),
        Format::Cur1 | Format::Cur2 => names.iter().map(|name| cur::folded(name)).collect(),
    };
    let mut picker = Picker::new(names, folded);
    let layout = match format {
        Format::Focus => focus::layout(&mut picker, reader),
        Format::Cur1 | Format::Cur2 => cur::layout(&mut picker, format, reader),
    };
    let stated = stated_of(&reader.settings.exports, file);
    if layout.currency.is_none() && stated.is_none_or(|stated| stated.currency.is_none()) {
        let name = if format == Format::Focus { "BillingCurrency" } else { "line_item_currency_code" };
        picker.missing.push(format!("{name} (or set [source] currency)"));
    }
    if !picker.missing.is_empty() {
        let (column, it) = if picker.missing.len() == 1 { ("column", "it") } else { ("columns", "them") };
        return Err(problem(format!(
            "{} export without the required {column} {}; add {it} to the export",
            format.name(),
            picker.missing.join(", ")
        )));
    }
    if !picker.several.is_empty() {
        let several: Vec<_> = picker.several.iter().map(|name| excerpt(name)).collect();
        let message = "stands more than once, and it cannot be said which one counts; keep one of them";
        return Err(problem(format!("column {} {message}", several.join(", "))));
    }
    if format == Format::Focus && reader.settings.cost == CostColumn::NetUnblended {
        let message = "FOCUS has no net_unblended cost; set [source] cost to unblended or amortized";
        return Err(problem(message.to_owned()));
    }
    if let Some(unapplied) = layout.exclusions.lines.iter().find(|unapplied| unapplied.is_set) {
        return Err(problem(unapplied.refusal()));
    }
    Ok(Layout { projection: picker.projection, ..layout })
}

fn unknown_format(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| excerpt(name)).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!(
        "unknown format: the columns ({}{more}) are not those of CUR 2.0 or 1.0, which needs {}, or of FOCUS, which needs {}",
        shown.join(", "),
        cur::REQUIRED.join(", "),
        focus::REQUIRED.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use credit_ledger::ExportPeriods;
    use schemas::reference::{KeyedCondition, RuleConditions};
    use schemas::settings::CreditSettings;

    use super::*;
    use crate::lines::LineSettings;
    use crate::stated::StatedOfExport;

    fn settings() -> LineSettings {
        LineSettings {
            periods: ExportPeriods::read_on(NaiveDate::default(), NaiveDate::MAX),
            exports: Vec::new(),
            cost: CostColumn::Unblended,
            credits: CreditSettings::default(),
            rules: Vec::new(),
        }
    }

    fn reader() -> LineReader {
        LineReader::new(settings()).unwrap()
    }

    fn names(list: &str) -> Vec<String> {
        list.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn formats_are_recognised_by_their_columns_whatever_the_case() {
        let cases = [
            ("bill/PayerAccountId,lineItem/UnblendedCost", Some(Format::Cur1)),
            ("bill_payer_account_id,line_item_unblended_cost", Some(Format::Cur1)),
            ("BILL_PAYER_ACCOUNT_ID,line_item_unblended_cost,resource_tags", Some(Format::Cur2)),
            ("billedcost,chargecategory", Some(Format::Focus)),
            ("BilledCost,ChargeCategory", Some(Format::Focus)),
            ("date,amount", None),
        ];
        for (columns, expected) in cases {
            assert_eq!(recognise(&names(columns)), expected, "{columns}");
        }
    }

    #[test]
    fn every_missing_required_column_is_named() {
        let columns = names(
            "bill_payer_account_id,line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,line_item_line_item_description,line_item_unblended_cost",
        );
        let problems = layout("a.csv", &columns, &reader()).unwrap_err();
        assert_eq!(
            problems.to_string(),
            "a.csv: CUR 1.0 export without the required columns bill_billing_period_start_date, \
             line_item_currency_code (or set [source] currency); add them to the export"
        );
    }

    const CUR: &str = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
        line_item_usage_start_date,line_item_line_item_type,line_item_line_item_description,line_item_unblended_cost,\
        line_item_currency_code";
    const FOCUS: &str = "BillingPeriodStart,BillingAccountId,SubAccountId,ChargePeriodStart,ChargeCategory,\
        ChargeDescription,BilledCost,BillingCurrency";

    /// The exclusions that cannot be applied to lines, and to fees.
    fn unapplied(columns: &str, reader: &LineReader) -> (Vec<String>, Vec<String>) {
        let Exclusions { lines, fees } = layout("a.csv", &names(columns), reader).unwrap().exclusions;
        let named = |list: Vec<Unapplied>| list.iter().map(Unapplied::named).collect();
        (named(lines), named(fees))
    }

    #[test]
    fn an_exclusion_without_its_column_is_named() {
        let reader = reader();
        let (lines, fees) = unapplied(CUR, &reader);
        assert_eq!(
            lines,
            [
                "ineligible_billing_entities (no column bill_billing_entity)",
                "ineligible_services (no column line_item_product_code)",
            ]
        );
        // Somebody may have chosen these columns of a CUR 2.0.
        assert_eq!(fees.len(), 2, "{fees:?}");
        assert_eq!(unapplied(&format!("{CUR},resource_tags"), &reader).1.len(), 2);
        // In a CUR 1.0 without any of their columns there are no reservations and no Savings Plans.
        let whole = format!("identity_line_item_id,{CUR},bill_billing_entity,line_item_product_code");
        assert_eq!(unapplied(&whole, &reader), (Vec::new(), Vec::new()));
        let slashes = "bill/BillingPeriodStartDate,bill/PayerAccountId,lineItem/UsageAccountId,lineItem/UsageStartDate,\
                       lineItem/LineItemType,lineItem/LineItemDescription,lineItem/UnblendedCost,lineItem/CurrencyCode";
        assert_eq!(unapplied(slashes, &reader).1, [""; 0]);
        let some = format!("{whole},reservation_effective_cost");
        assert_eq!(unapplied(&some, &reader).1, ["ineligible_upfront_fees (no column reservation_reservation_a_r_n)"]);
        let (lines, fees) = unapplied(&format!("{FOCUS},ServiceName,ProviderName"), &reader);
        assert_eq!(lines, ["ineligible_billing_entities (no column PublisherName)"]);
        assert_eq!(
            fees,
            [
                "ineligible_upfront_fees (no column ChargeFrequency)",
                "ineligible_upfront_fees (no column CommitmentDiscountId)",
            ]
        );
        assert_eq!(unapplied(FOCUS, &reader).0[1], "ineligible_services (no column ServiceName)");
    }

    #[test]
    fn an_exclusion_that_was_set_and_has_no_column_is_an_error() {
        let credits = toml::from_str("ineligible_services = [\"AmazonEC2\"]").unwrap();
        let reader = LineReader::new(LineSettings { credits, ..settings() }).unwrap();
        let refused = layout("a.csv", &names(&format!("{FOCUS},ServiceName")), &reader).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a.csv: has no column x_ServiceCode, which [credits] ineligible_services needs; add it to the export, or take \
             the setting out"
        );
    }

    #[test]
    fn a_column_that_stands_twice_is_an_error_but_for_those_where_the_last_value_counts() {
        let twice = |more: &str| layout("a.csv", &names(&format!("{CUR},{more}")), &reader());
        assert_eq!(
            twice("LINE_ITEM_UNBLENDED_COST").unwrap_err().to_string(),
            "a.csv: column LINE_ITEM_UNBLENDED_COST, line_item_unblended_cost stands more than once, and it cannot be said \
             which one counts; keep one of them"
        );
        assert!(twice("bill_billing_entity,bill_billing_entity").is_err());
        assert!(twice("product_region,product_region,resource_tags_user_team,resource_tags_user_team").is_ok());
    }

    #[test]
    fn other_separators_are_told_before_anything_else() {
        for (mark, name) in [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")] {
            let refused = layout("a.csv", &[CUR.replace(',', mark)], &reader()).unwrap_err();
            let expected = format!("a.csv: the columns are separated by {name}; deliver the file with commas");
            assert_eq!(refused.to_string(), expected);
            // A name with a comma in it.
            let header = format!("{CUR},resource_tags_user_a").replace(',', mark) + "b,c";
            assert_eq!(layout("a.csv", &names(&header), &reader()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_unknown_format_says_which_columns_each_format_needs() {
        assert_eq!(
            layout("a.csv", &names("date,amount"), &reader()).unwrap_err().to_string(),
            "a.csv: unknown format: the columns (date, amount) are not those of CUR 2.0 or 1.0, which needs \
             bill_billing_period_start_date, bill_payer_account_id, line_item_usage_account_id, \
             line_item_usage_start_date, line_item_line_item_type, line_item_line_item_description, \
             line_item_unblended_cost, or of FOCUS, which needs BillingPeriodStart, BillingAccountId, SubAccountId, \
             ChargePeriodStart, ChargeCategory, ChargeDescription, BilledCost"
        );
    }

    fn refused(columns: &str) -> String {
        layout("a.csv", &names(columns), &reader()).unwrap_err().to_string()
    }

    #[test]
    fn what_focus_and_one_column_of_a_cur_lack_is_named_as_people_know_it() {
        assert_eq!(
            refused("BillingPeriodStart,BillingAccountId,ChargePeriodStart,ChargeCategory,BilledCost"),
            "a.csv: FOCUS export without the required columns SubAccountId, ChargeDescription, BillingCurrency (or set \
             [source] currency); add them to the export"
        );
        assert_eq!(
            refused(&format!("{},product", CUR.replace("line_item_usage_account_id,", ""))),
            "a.csv: CUR 2.0 export without the required column line_item_usage_account_id; add it to the export"
        );
        let settings = LineSettings { exports: StatedOfExport::of_currency("EUR"), ..settings() };
        let without = CUR.replace(",line_item_currency_code", "");
        assert!(layout("a.csv", &names(&without), &LineReader::new(settings).unwrap()).is_ok());
    }

    #[test]
    fn an_unknown_format_shows_a_few_of_its_columns_and_no_long_ones() {
        let said = refused(&format!("a,b,c,{},e,f,g", "d".repeat(300)));
        let shown = format!("(a, b, c, {}…, e, …)", "d".repeat(100));
        let expected = format!("a.csv: unknown format: the columns {shown} are not those of CUR 2.0");
        assert!(said.starts_with(&expected), "{said}");
    }

    #[test]
    fn columns_of_a_text_cur_are_found_by_what_they_are_called_in_parquet() {
        let text = "bill/BillingPeriodStartDate,bill/PayerAccountId,lineItem/UsageAccountId,lineItem/UsageStartDate,\
                    lineItem/LineItemType,lineItem/LineItemDescription,lineItem/UnblendedCost,lineItem/CurrencyCode,\
                    lineItem/ProductCode,bill/InvoiceId,reservation/ReservationARN,savingsPlan/SavingsPlanArn";
        let found = layout("a.csv", &names(text), &reader()).unwrap();
        let name = |at: Option<usize>| at.map_or("none", |at| found.projection[at].as_str());
        assert_eq!(
            [Some(found.cost), found.currency, found.service.first().copied(), found.invoice].map(name),
            ["lineItem/UnblendedCost", "lineItem/CurrencyCode", "lineItem/ProductCode", "bill/InvoiceId"]
        );
        // AWS and others spell ARN in two ways.
        let arns = [found.reservation_arn, found.savings_plan_arn].map(name);
        assert_eq!(arns, ["reservation/ReservationARN", "savingsPlan/SavingsPlanArn"]);
        assert_eq!(found.billing_entity, None);
    }

    #[test]
    fn only_columns_that_lines_depend_on_are_read() {
        let more = "identity_line_item_id,product_sku,resource_tags,cost_category,product,line_item_net_unblended_cost";
        let found = layout("a.csv", &names(&format!("{more},{CUR}")), &reader()).unwrap();
        assert_eq!(found.projection.len(), CUR.split(',').count(), "{:?}", found.projection);
        let conditions = RuleConditions {
            region: Some("eu-*".to_owned()),
            tag: Some(KeyedCondition { key: "team".to_owned(), value: None }),
            ..RuleConditions::default()
        };
        let rules = vec![("r".to_owned(), conditions)];
        let reader = LineReader::new(LineSettings { rules, ..settings() }).unwrap();
        let found = layout("a.csv", &names(&format!("{more},{CUR}")), &reader).unwrap();
        let read = |name: &str| found.projection.iter().any(|column| column == name);
        assert_eq!(["resource_tags", "product", "cost_category"].map(read), [true, true, false]);
    }
}
