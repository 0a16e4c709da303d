//! The form on the page, with what is wrong at its field, and the preview.

use application::money_text::cents;
use application::{CreditSnapshot, Proposal, revision};
use apply_fifo::{CreditChange, LotOutcome, MonthChange, Preview};
use credit_ledger::{Money, Node, Text};
use maud::{Markup, html};
use schemas::NodeColumns;
use schemas::tables::{AllocationLogRow, LotRow, RegisteredCredit};

use super::Wish;
use super::entered::{Entered, EnteredLot, Wrong};
use crate::asked::Asked;
use crate::form::TOKEN;
use crate::format::{money, money_in};
use crate::guard::access::Access;
use crate::page::Page;
use crate::pages::{allocate_address, credit_address};
use crate::sheet::{Sheet, column};

/// A form about one credit.
pub(super) struct View<'a> {
    pub(super) asked: &'a Asked,
    pub(super) snapshot: &'a CreditSnapshot,
    pub(super) credit: &'a RegisteredCredit,
    pub(super) entered: &'a Entered,
}

impl View<'_> {
    pub(super) fn with_another_lot(&self, note: Option<&str>) -> Page {
        let mut entered = self.entered.clone();
        entered.lots.push(EnteredLot::default());
        View { entered: &entered, ..*self }.page(&[], None, note)
    }

    /// The page: the form with what is wrong at its fields, and what it would change.
    pub(super) fn page(&self, wrong: &[Wrong], proposal: Option<(&Proposal<'_>, Wish)>, note: Option<&str>) -> Page {
        let current = revision::current(self.snapshot, self.credit).unwrap_or_default();
        let title = if current.is_empty() { "Allocate" } else { "Revise" };
        let mut page =
            Page::new(format!("{title} {}", self.credit.promotion_code), &[]).for_everybody().text(self.about());
        if !self.asked.may_record() {
            return page.text(html! { p.note { "This page is read-only: nothing can be recorded." } });
        }
        page = page.text(self.form(wrong, &current, proposal.map(|(_, wish)| wish)));
        page = page.text(html! { @if let Some(note) = note { p.note.warning role="alert" { (note) } } });
        match proposal {
            Some((proposal, wish)) => self.preview(page, proposal, wish),
            None => page.text(html! { section id="preview" aria-live="polite" {} }),
        }
    }

    /// Where the person goes on: at what is wrong, else at the button that saves, else at the amount of the last lot.
    fn focused(&self, wrong: &[Wrong], wish: Option<Wish>) -> Option<(usize, &'static str)> {
        match (wrong.first(), wish) {
            (Some(wrong), _) => Some((wrong.lot.unwrap_or_default(), wrong.field)),
            (None, Some(_)) => None,
            (None, None) => Some((self.entered.lots.len(), "amount")),
        }
    }

    fn about(&self) -> Markup {
        let RegisteredCredit { credit_key, account_id, credit_class, currency, issue_date, aws_applied, .. } =
            self.credit;
        html! {
            p.lead {
                a href=(credit_address(credit_key)) { code { (credit_key) } }
                " · account " (account_id) " · " (credit_class) " · issued " (issue_date)
                " · AWS applied " (money_in(*aws_applied, currency)) " so far"
            }
        }
    }

    fn form(&self, wrong: &[Wrong], current: &[&AllocationLogRow], wish: Option<Wish>) -> Markup {
        let moved = current.iter().any(|row| row.continues_lot.is_some());
        html! {
            form.entry id="entry" method="post" action=(allocate_address(&self.credit.credit_key)) autocomplete="off" {
                input type="hidden" name=(TOKEN) value=(self.asked.session.form_token);
                input type="hidden" name="seen" value=(self.entered.seen);
                @for problem in wrong.iter().filter(|wrong| wrong.lot.is_none() && !wrong.field.starts_with("move_")) {
                    p.problem role="alert" { (problem.message) }
                }
                p.small {
                    "An allocation counts from " (self.credit.issue_date) ", the issue date, and replaces the one before: past months \
                     are computed anew. To leave them as they are, move a lot instead."
                }
                @if moved {
                    p.note { "A lot was moved. An allocation replaces that, too." }
                }
                @for (number, lot) in (1_usize..).zip(&self.entered.lots) { (self.lot(number, lot, wrong, self.focused(wrong, wish))) }
                p.sum-line { "Sum " output id="sum" { (sum_text(&self.entered.lots)) } " " (self.credit.currency) }
                label { "Note " input name="note" size="40" value=[self.entered.note.as_deref()]; }
                p.buttons {
                    button.primary name="action" value="preview" { "Preview" }
                    " " button name="action" value="more" formnovalidate { "Another lot" }
                    " " a href="/queue" { "Back to the queue" }
                }
                @if revision::revocation("revoke", self.snapshot, self.credit).is_ok() {
                    (self.other_ways(current, wrong, wish))
                }
            }
        }
    }

    fn lot(&self, number: usize, lot: &EnteredLot, wrong: &[Wrong], focused: Option<(usize, &'static str)>) -> Markup {
        let field = |name: &'static str| Field { lot: number, name, wrong, focused };
        let currency = &self.credit.currency;
        html! {
            fieldset {
                legend { "Lot " (number) }
                (field("amount").html(&format!("Amount, {currency}"), html! {
                    input id=(field("amount").id()) name="amount" inputmode="decimal" size="16" value=(lot.amount) required[number == 1]
                        aria-invalid=[field("amount").invalid()] aria-describedby=[field("amount").described()]
                        autofocus[field("amount").has_focus()];
                }))
                (field("node").html("Node", html! {
                    input id=(field("node").id()) name="node" size="40" value=(lot.node) data-nodes="" required[number == 1]
                        placeholder="Business unit/Department/Portfolio/Product"
                        aria-invalid=[field("node").invalid()] aria-describedby=[field("node").described()]
                        autofocus[field("node").has_focus()];
                }))
                (field("end_date").html("Ends on (empty: open-ended)", html! {
                    input id=(field("end_date").id()) name="end_date" type="text" size="12" placeholder="YYYY-MM-DD" value=(lot.end_date)
                        aria-invalid=[field("end_date").invalid()] aria-describedby=[field("end_date").described()]
                        autofocus[field("end_date").has_focus()];
                }))
                (field("reference").html("Reference", html! {
                    input id=(field("reference").id()) name="reference" size="24" value=(lot.reference)
                        placeholder="contract, ticket";
                }))
                @for problem in wrong.iter().filter(|wrong| wrong.lot == Some(number) && wrong.field == "lot") {
                    p.problem role="alert" { (problem.message) }
                }
            }
        }
    }

    /// Moving a lot, and ending the allocation.
    fn other_ways(&self, current: &[&AllocationLogRow], wrong: &[Wrong], wish: Option<Wish>) -> Markup {
        let field = |name: &'static str| Field { lot: 0, name, wrong, focused: self.focused(wrong, wish) };
        let is_open = matches!(wish, Some(Wish::Move | Wish::Revoke)) || wrong.iter().any(|wrong| wrong.lot.is_none());
        let goes_on = |row: &AllocationLogRow| current.iter().any(|other| other.continues_lot == Some(row.lot));
        html! {
            details open[is_open] {
                summary { "Move a lot, or revoke the allocation" }
                @if !current.is_empty() { fieldset {
                    legend { "Move what is left of a lot" }
                    label { "Lot " select name="move_lot" {
                        @for row in current.iter().filter(|row| !goes_on(row)) {
                            option value=(row.lot) selected[self.entered.move_lot == row.lot.to_string()] {
                                (row.lot) ", on " (row.node().map(|node| node.to_string()).unwrap_or_default())
                            }
                        }
                    } }
                    (field("move_from").html("From month", html! {
                        input id=(field("move_from").id()) name="move_from" size="8" placeholder="YYYY-MM" value=(self.entered.move_from)
                            aria-invalid=[field("move_from").invalid()] aria-describedby=[field("move_from").described()];
                    }))
                    (field("move_to").html("To node", html! {
                        input id=(field("move_to").id()) name="move_to" size="40" data-nodes="" value=(self.entered.move_to)
                            aria-invalid=[field("move_to").invalid()] aria-describedby=[field("move_to").described()];
                    }))
                    button name="action" value="move" formnovalidate { "Preview the move" }
                } }
                fieldset {
                    legend { "Revoke" }
                    p { "The credit goes back to the queue, and what it took off the cost comes back in all months." }
                    button name="action" value="revoke" formnovalidate { "Preview the revocation" }
                }
            }
        }
    }

    /// What would change, and the button that records it.
    fn preview(&self, page: Page, proposal: &Proposal<'_>, wish: Wish) -> Page {
        let (save, word) = match wish {
            Wish::Allocate => ("save", "Save the allocation"),
            Wish::Move => ("save-move", "Save the move"),
            Wish::Revoke => ("save-revoke", "Revoke the allocation"),
        };
        let warnings = proposal.warnings();
        let summary = html! {
            section id="preview" aria-live="polite" {
                h2 { "What would change by " (proposal.as_of) }
                @for warning in &warnings { p.note.warning { (warning) } }
                (replaced(proposal))
                @match &proposal.preview {
                    Some(preview) => (changed(preview, proposal, &self.asked.access)),
                    None => p.note { "What would change cannot be told: " (proposal.unknown.as_deref().unwrap_or_default()) },
                }
            }
        };
        let record = html! {
            p.buttons {
                input type="hidden" name="previewed" form="entry" value=(self.entered.digest(wish));
                button.primary name="action" value=(save) form="entry" autofocus formnovalidate[wish != Wish::Allocate] { (word) }
            }
        };
        let page = page.text(summary);
        let page = match &proposal.preview {
            Some(preview) if !preview.months.is_empty() => page.sheet(months(&preview.months, &self.asked.access)),
            _ => page,
        };
        page.text(record)
    }
}

/// A field, and what is wrong with it.
#[derive(Clone, Copy)]
struct Field<'a> {
    lot: usize,
    name: &'static str,
    wrong: &'a [Wrong],
    /// The field that the person goes on at: its lot and name.
    focused: Option<(usize, &'static str)>,
}

impl Field<'_> {
    fn problem(&self) -> Option<&str> {
        let is_its = |wrong: &&Wrong| wrong.lot.unwrap_or_default() == self.lot && wrong.field == self.name;
        self.wrong.iter().find(is_its).map(|wrong| wrong.message.as_str())
    }

    fn id(&self) -> String {
        format!("{}-{}", self.name, self.lot)
    }

    fn has_focus(&self) -> bool {
        self.focused == Some((self.lot, self.name))
    }

    fn invalid(&self) -> Option<&'static str> {
        self.problem().map(|_| "true")
    }

    fn described(&self) -> Option<String> {
        self.problem().map(|_| format!("{}-wrong", self.id()))
    }

    fn html(&self, label: &str, input: Markup) -> Markup {
        html! {
            div.field {
                label for=(self.id()) { (label) }
                (input)
                @if let Some(problem) = self.problem() { p.wrong id={ (self.id()) "-wrong" } role="alert" { (problem) } }
            }
        }
    }
}

/// The sum of what was typed, as far as it can be read.
fn sum_text(lots: &[EnteredLot]) -> String {
    let amounts = lots.iter().filter_map(|lot| application::typed::amount(&lot.amount).ok());
    Money::total(amounts).map(cents).unwrap_or_default()
}

fn replaced(proposal: &Proposal<'_>) -> Markup {
    let by = proposal.recorded.as_ref().map(|(by, at)| {
        let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        format!(", recorded{by} on {}", at.date())
    });
    let lot = |lot: &LotRow| {
        let node = lot.node().map(|node| node.to_string()).unwrap_or_default();
        let end = lot.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
        format!("lot {}: {} {} on {node}{end}", lot.lot, cents(lot.amount), lot.currency)
    };
    let recorded = |row: &AllocationLogRow| {
        let node = row.node().map(|node| node.to_string()).unwrap_or_default();
        let end = row.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
        let currency = row.currency.as_deref().unwrap_or_default();
        format!("lot {}: {} {currency} on {node}{end}", row.lot, cents(row.amount.unwrap_or_default()))
    };
    html! {
        p { strong { "Now " }
            @if !proposal.unusable.is_empty() {
                @for (place, row) in proposal.unusable.iter().enumerate() {
                    @if place > 0 { "; " } (recorded(row))
                }
                (by.unwrap_or_default()) ", which cannot be used."
            } @else if proposal.replaced.is_empty() { "nothing: it is not allocated." } @else {
                @for (place, replaced) in proposal.replaced.iter().enumerate() {
                    @if place > 0 { "; " } (lot(replaced))
                }
                (by.unwrap_or_default()) "."
            }
        }
    }
}

/// What becomes of its lots, and of other credits.
fn changed(preview: &Preview, proposal: &Proposal<'_>, access: &Access) -> Markup {
    let others = &preview.other_credits;
    html! {
        ul.outcomes {
            @for lot in &preview.lots { li { (outcome(lot, proposal)) } }
            @if access.is_limited() {
                @if !others.is_empty() { li { "Other credits are used otherwise, too: " (others.len()) } }
            } @else {
                @for credit in others { li { (other_credit(credit)) } }
            }
        }
        @if preview.months.is_empty() { p { "No month up to " (proposal.as_of) " changes." } }
    }
}

fn outcome(lot: &LotOutcome, proposal: &Proposal<'_>) -> Markup {
    let end = lot.end_date.map(|end| format!(", until {end}")).unwrap_or_default();
    if let Some(continues) = proposal.later_start(lot) {
        return html! {
            "Lot " (lot.lot) ": what is then left of lot " (continues.lot) ", on " strong { (lot.node) } " from "
            (continues.from_period) (end)
        };
    }
    let amount = if lot.continues.is_some() { lot.amount.max(lot.moved) } else { lot.amount };
    html! {
        "Lot " (lot.lot) ": " (money_in(amount, &lot.currency)) " on " strong { (lot.node) } (end) ": "
        (money(lot.used)) " used, "
        @if lot.expired.is_positive() { (money(lot.expired)) " lost, " }
        @if lot.moved.is_negative() { (money(lot.moved.negated())) " moved on, " }
        (money(lot.remaining)) " left"
    }
}

fn other_credit(credit: &CreditChange) -> Markup {
    html! {
        "Also " a href=(credit_address(&credit.credit_key)) { (credit.credit_key) } " uses "
        (money_in(credit.used, &credit.currency)) " instead of " (money(credit.used_before))
        @if credit.expired != credit.expired_before {
            ", loses " (money(credit.expired)) " instead of " (money(credit.expired_before))
        }
    }
}

/// Who does not see a whole business unit sees what changes there, and not its cost.
fn months(months: &[MonthChange], access: &Access) -> Sheet {
    let sees = |month: &&MonthChange| {
        let unit = Node::from_levels([Some(&month.business_unit), None, None, None]);
        unit.is_ok_and(|unit| access.sees(&unit))
    };
    let seen = |amount: fn(&MonthChange) -> Money| column(months, move |month| Some(month).filter(sees).map(amount));
    Sheet::new("changes", "Months that change", "No month changes.")
        .only_shown()
        .column("billing_period", "Month", column(months, |month| Text::from(month.billing_period.to_string())))
        .column("business_unit", "Business unit", column(months, |month| month.business_unit.clone()))
        .column("currency", "Currency", column(months, |month| month.currency.clone()))
        .summed("credits_applied_before", "Credits now", seen(|month| month.credits_applied_before))
        .summed("credits_applied", "Credits then", seen(|month| month.credits_applied))
        .summed("net_cost_before", "Net cost now", seen(|month| month.net_cost_before))
        .summed("net_cost", "Net cost then", seen(|month| month.net_cost))
        .summed("change", "Change", column(months, |month| month.change))
}
