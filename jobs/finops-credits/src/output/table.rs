//! Aligned columns that fit a width: long names are shortened, columns that matter less are left out, amounts never
//! change.

use std::collections::BTreeSet;

use comfy_table::{Attribute, Cell, CellAlignment, Color, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between columns.
const GAP: usize = 2;

/// A column of a table, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// True for numbers.
    pub(crate) right: bool,
    pub(crate) cells: Vec<String>,
}

/// Where a text that is too long is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Keys are cut before the end of the account, and no shorter than they can be told apart.
    Key,
    /// What tells nodes apart is at both ends.
    Middle,
    End,
}

/// Keys that are told apart only further on are not waited for.
const WIDEST_KEY: usize = 32;

/// The columns whose texts may be shortened, and to how much at least.
const FITTED: [(&str, Cut, usize); 11] = [
    ("credit_key", Cut::Key, 15),
    ("allocation_id", Cut::Middle, 12),
    ("promotion_code", Cut::Middle, 15),
    ("nodes", Cut::Middle, 10),
    ("node", Cut::Middle, 10),
    ("likely_node", Cut::Middle, 11),
    ("owner_email", Cut::End, 11),
    ("likely_owner_email", Cut::End, 18),
    ("reference", Cut::End, 9),
    ("recorded_by", Cut::End, 11),
    ("description", Cut::End, 11),
];

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0).max(self.name.width())
    }

    fn fitted(&self) -> Option<(Cut, usize)> {
        FITTED.iter().find(|(name, ..)| *name == self.name).map(|(_, cut, least)| (*cut, *least))
    }

    /// The least width that shows it.
    fn least(&self) -> usize {
        let width = self.width();
        let Some((cut, least)) = self.fitted() else { return width };
        let least = width.min(least.max(self.name.width()));
        let all = self.cells.iter().collect::<BTreeSet<_>>().len();
        let tells_apart = |width: &usize| {
            self.cells.iter().map(|cell| shortened(cell, *width, cut)).collect::<BTreeSet<_>>().len() == all
        };
        let told_apart = (cut == Cut::Key).then(|| (least..=width.min(WIDEST_KEY)).find(tells_apart));
        told_apart.flatten().unwrap_or(least)
    }
}

/// The columns, as wide as fits, and the names of those that are left out: of `expendable` ones, in this order.
pub(crate) fn fit(mut columns: Vec<Column>, width: usize, expendable: &[&str]) -> (Vec<Column>, Vec<String>) {
    let gaps = |columns: &[Column]| columns.len().saturating_sub(1) * GAP;
    let least = |columns: &[Column]| columns.iter().map(Column::least).sum::<usize>() + gaps(columns);
    let mut left_out = Vec::new();
    for name in expendable {
        if least(&columns) <= width {
            break;
        }
        let before = columns.len();
        columns.retain(|column| column.name != *name);
        left_out.extend((columns.len() < before).then(|| (*name).to_owned()));
    }
    let room = width.saturating_sub(gaps(&columns));
    let at = |limit: usize, column: &Column| column.width().min(limit).max(column.least());
    let total = |limit: usize| columns.iter().map(|column| at(limit, column)).sum::<usize>();
    let widest = columns.iter().map(Column::width).max().unwrap_or(0);
    let limit = (1..=widest).rev().find(|limit| total(*limit) <= room).unwrap_or(0);
    for column in &mut columns {
        let Some((cut, _)) = column.fitted() else { continue };
        let width = at(limit, column);
        for cell in &mut column.cells {
            *cell = shortened(cell, width, cut);
        }
    }
    (columns, left_out)
}

/// The text in at most `width` columns of a terminal, with `…` for what is left out.
fn shortened(text: &str, width: usize, cut: Cut) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let end = match cut {
        Cut::Key => (room * 2 / 5).min(6),
        Cut::Middle => room * 2 / 5,
        Cut::End => 0,
    };
    let last: String = within(text.chars().rev(), end).into_iter().rev().collect();
    let first: String = within(text.chars(), room - last.width()).into_iter().collect();
    format!("{first}…{last}")
}

/// The first characters that take at most `width`.
fn within(text: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut taken = 0;
    let fits = |character: &char| {
        taken += character.width().unwrap_or(0);
        taken <= width
    };
    text.take_while(fits).collect()
}

/// The columns as lines, numbers to the right. The last `totals` rows are sums.
pub(crate) fn render(columns: &[Column], totals: usize, color: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty().style_text_only();
    if color {
        table.enforce_styling();
    }
    let aligned = |text: &str, column: &Column| {
        let cell = Cell::new(text);
        if column.right { cell.set_alignment(CellAlignment::Right) } else { cell }
    };
    table.set_header(columns.iter().map(|column| aligned(&column.name, column).add_attribute(Attribute::Bold)));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        let cells = columns.iter().map(|column| {
            let text = column.cells.get(row).map_or("", String::as_str);
            let cell = aligned(text, column);
            match color_of(&column.name, text) {
                _ if row + totals >= rows => cell.add_attribute(Attribute::Bold),
                Some(color) => cell.fg(color),
                None => cell,
            }
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    let gap = u16::try_from(GAP).unwrap_or_default();
    for column in table.column_iter_mut() {
        column.set_padding((0, gap));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

/// What asks for somebody's attention.
fn color_of(column: &str, text: &str) -> Option<Color> {
    match (column, text) {
        ("status", "active") => Some(Color::DarkGreen),
        ("status", "expiring_soon") | ("reason", "revoked") => Some(Color::DarkYellow),
        ("status", "expired" | "invalid") | ("reason", "allocation_invalid") => Some(Color::DarkRed),
        ("status", "exhausted") => Some(Color::DarkGrey),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, cells: &[&str]) -> Column {
        let right = name == "remaining";
        Column { name: name.to_owned(), right, cells: cells.iter().map(|cell| (*cell).to_owned()).collect() }
    }

    fn credits() -> Vec<Column> {
        vec![
            column("credit_key", &["code:AWS Summit Workshop Credits@410000000104", "id:7"]),
            column("owner_email", &["amara.okafor@acme.example", "rosa@acme.example"]),
            column("remaining", &["12,345.67", "0.00"]),
            column("status", &["expiring_soon", "active"]),
        ]
    }

    fn shown(width: usize) -> String {
        let (columns, left_out) = fit(credits(), width, &["status", "owner_email"]);
        format!("{}left out: {}", render(&columns, 0, false), left_out.join(", "))
    }

    #[test]
    fn what_fits_is_shown_as_it_is() {
        insta::assert_snapshot!(shown(98), @r"
        credit_key                                     owner_email                remaining  status
        code:AWS Summit Workshop Credits@410000000104  amara.okafor@acme.example  12,345.67  expiring_soon
        id:7                                           rosa@acme.example               0.00  active
        left out:
        ");
    }

    #[test]
    fn long_names_are_shortened_first_and_amounts_never() {
        insta::assert_snapshot!(shown(60), @r"
        credit_key        owner_email       remaining  status
        code:AWS …000104  amara.okafor@ac…  12,345.67  expiring_soon
        id:7              rosa@acme.examp…       0.00  active
        left out:
        ");
    }

    #[test]
    fn columns_that_matter_less_are_left_out_when_names_are_as_short_as_can_be() {
        insta::assert_snapshot!(shown(50), @r"
        credit_key          owner_email         remaining
        code:AWS Su…000104  amara.okafor@acme…  12,345.67
        id:7                rosa@acme.example        0.00
        left out: status
        ");
        insta::assert_snapshot!(shown(20), @r"
        credit_key       remaining
        code:AWS …00104  12,345.67
        id:7                  0.00
        left out: status, owner_email
        ");
    }

    #[test]
    fn keys_are_cut_no_shorter_than_they_can_be_told_apart() {
        let keys = ["code:MAP credit - 1/3@410000000901", "code:MAP credit - 2/3@410000000901"];
        let (columns, _) = fit(vec![column("credit_key", &keys), column("remaining", &["1.00", "2.00"])], 20, &[]);
        assert_eq!(columns[0].cells, ["code:MAP credit - 1…000901", "code:MAP credit - 2…000901"]);
    }

    #[test]
    fn no_line_is_wider_than_the_width_where_the_least_fits() {
        for width in 54..120 {
            let (columns, _) = fit(credits(), width, &[]);
            let widest = render(&columns, 0, false).lines().map(UnicodeWidthStr::width).max().unwrap();
            assert!(widest <= width, "{widest} > {width}");
        }
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(shortened("日本語クレジット", 9, Cut::End), "日本語ク…");
        assert_eq!(shortened("日本語クレジット", 8, Cut::Middle), "日本…ト");
        assert_eq!(shortened("日本語", 6, Cut::End), "日本語");
    }

    #[test]
    fn colour_is_for_status_heads_and_sums_only() {
        let columns = [column("status", &["expired", "x"]), column("remaining", &["1.00", "2.00"])];
        let colored = render(&columns, 1, true);
        assert!(colored.contains("\u{1b}[38;5;1mexpired"), "{colored:?}");
        assert!(!render(&columns, 1, false).contains('\u{1b}'));
        assert_eq!(colored.matches("\u{1b}[1m").count(), 4, "{colored:?}");
    }
}
