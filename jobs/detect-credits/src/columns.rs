//! Which format a file has, and where each value of a line stands in it.
//!
//! CUR 1.0 (`lineItem/UnblendedCost`, or `line_item_unblended_cost` in Parquet) and CUR 2.0 name columns alike once
//! folded to snake case; they differ in tags, cost categories and products: a column per key, or a map. FOCUS names
//! compare without regard to case.

use std::collections::BTreeMap;

use schemas::excerpt;
use schemas::reference::{Problem, Problems, foreign_separator};
use schemas::settings::CostColumn;

use crate::rules::{RuleMatcher, position_of, snake, tag_key};

/// A recognised format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    Cur1,
    Cur2,
    Focus,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cur1 => "CUR 1.0",
            Self::Cur2 => "CUR 2.0",
            Self::Focus => "FOCUS",
        }
    }
}

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
    pub(crate) reservation_arn: Option<usize>,
    pub(crate) savings_plan_arn: Option<usize>,
    pub(crate) charge_class: Option<usize>,
    pub(crate) charge_frequency: Option<usize>,
    pub(crate) commitment_id: Option<usize>,
    pub(crate) amortized: Vec<(Role, usize)>,
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

/// What a column of the configured cost stands for; with or without `net_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    NetUnblended,
    SavingsPlanEffective,
    SavingsPlanTotal,
    SavingsPlanUsed,
    ReservationEffective,
    ReservationUnusedUpfront,
    ReservationUnusedRecurring,
    FocusEffective,
}

impl Role {
    pub(crate) const COUNT: usize = Self::FocusEffective as usize + 1;
}

const NET_UNBLENDED: [(Role, &str); 1] = [(Role::NetUnblended, "line_item_net_unblended_cost")];
const AMORTIZED: [(Role, &str); 6] = [
    (Role::SavingsPlanEffective, "savings_plan_savings_plan_effective_cost"),
    (Role::SavingsPlanTotal, "savings_plan_total_commitment_to_date"),
    (Role::SavingsPlanUsed, "savings_plan_used_commitment"),
    (Role::ReservationEffective, "reservation_effective_cost"),
    (Role::ReservationUnusedUpfront, "reservation_unused_amortized_upfront_fee_for_billing_period"),
    (Role::ReservationUnusedRecurring, "reservation_unused_recurring_fee"),
];
// A commitment has no net amount: total and used are the same columns in both.
const NET_AMORTIZED: [(Role, &str); 7] = [
    (Role::NetUnblended, "line_item_net_unblended_cost"),
    (Role::SavingsPlanEffective, "savings_plan_net_savings_plan_effective_cost"),
    (Role::SavingsPlanTotal, "savings_plan_total_commitment_to_date"),
    (Role::SavingsPlanUsed, "savings_plan_used_commitment"),
    (Role::ReservationEffective, "reservation_net_effective_cost"),
    (Role::ReservationUnusedUpfront, "reservation_net_unused_amortized_upfront_fee_for_billing_period"),
    (Role::ReservationUnusedRecurring, "reservation_net_unused_recurring_fee"),
];
const FOCUS_AMORTIZED: [(Role, &str, &str); 1] = [(Role::FocusEffective, "effectivecost", "EffectiveCost")];

/// Picks columns of one file and remembers what it lacks.
struct Picker<'a> {
    names: &'a [String],
    folded: Vec<String>,
    projection: Vec<String>,
    positions: BTreeMap<usize, usize>,
    missing: Vec<String>,
    missing_costs: Vec<String>,
}

impl<'a> Picker<'a> {
    fn new(names: &'a [String], folded: Vec<String>) -> Self {
        Self {
            names,
            folded,
            projection: Vec::new(),
            positions: BTreeMap::new(),
            missing: Vec::new(),
            missing_costs: Vec::new(),
        }
    }

    /// Projects the column at an index of the file.
    fn project(&mut self, index: usize) -> usize {
        if let Some(position) = self.positions.get(&index) {
            return *position;
        }
        let position = self.projection.len();
        self.projection.push(self.names.get(index).cloned().unwrap_or_default());
        self.positions.insert(index, position);
        position
    }

    fn optional(&mut self, name: &str) -> Option<usize> {
        // Of two columns that fold to one name the last counts.
        let index = self.folded.iter().rposition(|folded| folded == name)?;
        Some(self.project(index))
    }

    fn required(&mut self, name: &str, spelled: &str) -> usize {
        self.optional(name).unwrap_or_else(|| {
            self.missing.push(spelled.to_owned());
            usize::MAX
        })
    }

    fn first_of(&mut self, names: &[&str]) -> Vec<usize> {
        names.iter().filter_map(|name| self.optional(name)).collect()
    }

    /// Plain columns `<prefix><key>` of the wanted keys.
    fn keyed(&mut self, prefix: &str, wanted: &[String], fold: fn(&str) -> String) -> Vec<(usize, usize)> {
        let indexes: Vec<(usize, usize)> = (0..self.folded.len())
            .filter_map(|index| {
                let key = fold(self.folded.get(index)?.strip_prefix(prefix)?);
                Some((position_of(wanted, &key)?, index))
            })
            .collect();
        indexes.into_iter().map(|(wanted, index)| (wanted, self.project(index))).collect()
    }

    /// The columns of a configured cost: role, folded name, name as spelled.
    fn amounts(&mut self, columns: &[(Role, &str, &str)]) -> Vec<(Role, usize)> {
        let mut found = Vec::new();
        for (role, name, spelled) in columns {
            match self.optional(name) {
                Some(position) => found.push((*role, position)),
                None => self.missing_costs.push((*spelled).to_owned()),
            }
        }
        found
    }
}

/// Recognises a file by its columns.
pub(crate) fn recognise(names: &[String]) -> Option<Format> {
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let has = |name: &str| lower.iter().any(|column| column == name);
    let focus = ["billedcost", "chargecategory", "chargeperiodstart", "billingaccountid"];
    if focus.iter().filter(|name| has(name)).count() >= 2 {
        return Some(Format::Focus);
    }
    if lower.iter().any(|column| column.starts_with("lineitem/") || column.starts_with("bill/")) {
        return Some(Format::Cur1);
    }
    if lower.iter().any(|column| column.starts_with("line_item_"))
        && lower.iter().any(|column| column.starts_with("bill_"))
    {
        let cur2 = ["bill_payer_account_name", "resource_tags", "cost_category", "product", "tags", "discount"];
        return Some(if cur2.iter().any(|name| has(name)) { Format::Cur2 } else { Format::Cur1 });
    }
    None
}

/// Finds everything a scan needs in a file's columns.
pub(crate) fn layout(
    file: &str,
    names: &[String],
    rules: &RuleMatcher,
    cost: CostColumn,
    currency_is_set: bool,
) -> Result<Layout, Problems> {
    let problem = |message: String| Problems(vec![Problem { file: file.to_owned(), row: None, column: None, message }]);
    let format = recognise(names).ok_or_else(|| problem(unknown_format(names)))?;
    let folded = match format {
        Format::Focus => names.iter().map(|name| name.to_lowercase()).collect(),
        Format::Cur1 | Format::Cur2 => names.iter().map(|name| cur_name(name)).collect(),
    };
    let mut picker = Picker::new(names, folded);
    let layout = match format {
        Format::Focus => focus(&mut picker, rules, cost, currency_is_set),
        Format::Cur1 | Format::Cur2 => cur(&mut picker, format, rules, cost, currency_is_set),
    };
    let columns = |names: &[String]| {
        let (column, it) = if names.len() == 1 { ("column", "it") } else { ("columns", "them") };
        (format!("{column} {}", names.join(", ")), it)
    };
    if !picker.missing.is_empty() {
        let (missing, it) = columns(&picker.missing);
        return Err(problem(format!(
            "{} export without the required {missing}; add {it} to the export",
            format.name()
        )));
    }
    if format == Format::Focus && cost == CostColumn::NetUnblended {
        let message = "FOCUS has no net_unblended cost; set [source] cost to unblended or amortized";
        return Err(problem(message.to_owned()));
    }
    if !picker.missing_costs.is_empty() {
        let (missing, it) = columns(&picker.missing_costs);
        return Err(problem(format!(
            "{} export without the {missing} that [source] cost = {:?} needs; add {it} to the export, or set another \
             cost",
            format.name(),
            cost_name(cost)
        )));
    }
    Ok(Layout { projection: picker.projection, ..layout })
}

const fn cost_name(cost: CostColumn) -> &'static str {
    match cost {
        CostColumn::Unblended => "unblended",
        CostColumn::NetUnblended => "net_unblended",
        CostColumn::Amortized => "amortized",
        CostColumn::NetAmortized => "net_amortized",
    }
}

fn unknown_format(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().map(String::as_str).take(SHOWN).collect();
    if let Some(separator) = foreign_separator(&shown) {
        return format!("the columns are separated by {separator}; deliver the file with commas");
    }
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<_> = shown.into_iter().map(excerpt).collect();
    format!("unknown format: the columns ({}{more}) are not those of CUR 2.0, CUR 1.0 or FOCUS", shown.join(", "))
}

/// CUR names are snake case already in Parquet; only the spelling with `/` needs folding.
fn cur_name(name: &str) -> String {
    if name.contains('/') { snake(name) } else { name.to_lowercase() }
}

fn cur_costs<'n>(columns: &[(Role, &'n str)]) -> Vec<(Role, &'n str, &'n str)> {
    columns.iter().map(|(role, name)| (*role, *name, *name)).collect()
}

fn cur(
    picker: &mut Picker<'_>,
    format: Format,
    rules: &RuleMatcher,
    cost: CostColumn,
    currency_is_set: bool,
) -> Layout {
    let mut required = |name: &str| picker.required(name, name);
    let period = required("bill_billing_period_start_date");
    let payer = required("bill_payer_account_id");
    let account = required("line_item_usage_account_id");
    let start = required("line_item_usage_start_date");
    let line_type = required("line_item_line_item_type");
    let description = required("line_item_line_item_description");
    let unblended = required("line_item_unblended_cost");
    let currency = picker.optional("line_item_currency_code");
    if currency.is_none() && !currency_is_set {
        picker.missing.push("line_item_currency_code (or set [source] currency)".to_owned());
    }
    let amortized = match cost {
        CostColumn::Unblended => Vec::new(),
        CostColumn::NetUnblended => picker.amounts(&cur_costs(&NET_UNBLENDED)),
        CostColumn::Amortized => picker.amounts(&cur_costs(&AMORTIZED)),
        CostColumn::NetAmortized => picker.amounts(&cur_costs(&NET_AMORTIZED)),
    };
    let region =
        if rules.needs_region() { picker.first_of(&["product_region_code", "product_region"]) } else { Vec::new() };
    let product = if rules.needs_region() { picker.optional("product") } else { None };
    let product = KeyedSources { maps: product.into_iter().collect(), columns: Vec::new() };
    let tags = KeyedSources {
        columns: picker.keyed("resource_tags_", rules.tag_keys(), tag_key),
        maps: if rules.tag_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags", "resource_tags"]) },
    };
    let categories = KeyedSources {
        columns: picker.keyed("cost_category_", rules.category_keys(), snake),
        maps: if rules.category_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags", "cost_category"]) },
    };
    Layout {
        format,
        projection: Vec::new(),
        period,
        payer,
        account,
        start,
        line_type,
        description,
        cost: unblended,
        currency,
        service: picker.first_of(&["line_item_product_code"]),
        region,
        product,
        billing_entity: picker.optional("bill_billing_entity"),
        // Some writers spell `Arn`, which folds to another name than AWS's `ARN`.
        reservation_arn: picker
            .first_of(&["reservation_reservation_a_r_n", "reservation_reservation_arn"])
            .first()
            .copied(),
        savings_plan_arn: picker
            .first_of(&["savings_plan_savings_plan_a_r_n", "savings_plan_savings_plan_arn"])
            .first()
            .copied(),
        charge_class: None,
        charge_frequency: None,
        commitment_id: None,
        amortized,
        tags,
        categories,
    }
}

fn focus(picker: &mut Picker<'_>, rules: &RuleMatcher, cost: CostColumn, currency_is_set: bool) -> Layout {
    let mut required = |name: &str| picker.required(&name.to_lowercase(), name);
    let period = required("BillingPeriodStart");
    let payer = required("BillingAccountId");
    let account = required("SubAccountId");
    let start = required("ChargePeriodStart");
    let line_type = required("ChargeCategory");
    let description = required("ChargeDescription");
    let billed = required("BilledCost");
    let currency = picker.optional("billingcurrency");
    if currency.is_none() && !currency_is_set {
        picker.missing.push("BillingCurrency (or set [source] currency)".to_owned());
    }
    let amortized = match cost {
        CostColumn::Unblended | CostColumn::NetUnblended => Vec::new(),
        CostColumn::Amortized | CostColumn::NetAmortized => picker.amounts(&FOCUS_AMORTIZED),
    };
    let tags = if rules.tag_keys().is_empty() { Vec::new() } else { picker.first_of(&["tags"]) };
    let categories = if rules.category_keys().is_empty() { Vec::new() } else { picker.first_of(&["x_costcategories"]) };
    Layout {
        format: Format::Focus,
        projection: Vec::new(),
        period,
        payer,
        account,
        start,
        line_type,
        description,
        cost: billed,
        currency,
        service: picker.first_of(&["x_servicecode", "servicename"]),
        region: if rules.needs_region() { picker.first_of(&["regionid"]) } else { Vec::new() },
        product: KeyedSources::default(),
        billing_entity: picker.optional("providername"),
        reservation_arn: None,
        savings_plan_arn: None,
        charge_class: picker.optional("chargeclass"),
        charge_frequency: picker.optional("chargefrequency"),
        commitment_id: picker.optional("commitmentdiscountid"),
        amortized,
        tags: KeyedSources { maps: tags, columns: Vec::new() },
        categories: KeyedSources { maps: categories, columns: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let rules = RuleMatcher::new(&schemas::reference::CostRules::default());
        let columns = names(
            "bill_payer_account_id,line_item_usage_account_id,line_item_usage_start_date,line_item_line_item_type,line_item_line_item_description,line_item_unblended_cost",
        );
        let problems = layout("a.csv", &columns, &rules, CostColumn::Unblended, false).unwrap_err();
        assert_eq!(
            problems.to_string(),
            "a.csv: CUR 1.0 export without the required columns bill_billing_period_start_date, \
             line_item_currency_code (or set [source] currency); add them to the export"
        );
    }
}
