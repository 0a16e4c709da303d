//! A page in the making: tables, pictures and text, in order.

use application::{Failure, Kind};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use crate::chart::Chart;
use crate::filter::Filter;
use crate::guard::access::Access;
use crate::sheet::Sheet;

/// The pages that the navigation names: path, name, key after `g`.
pub(crate) const PLACES: [(&str, &str, char); 8] = [
    ("/", "Overview", 'o'),
    ("/queue", "Queue", 'q'),
    ("/credits", "Credits", 'c'),
    ("/net-cost", "Net cost", 'n'),
    ("/expiry", "Expiry", 'e'),
    ("/months", "Months", 'm'),
    ("/runs", "Runs", 'r'),
    ("/query", "Query", 's'),
];

/// Those of them that are of no node: only who sees everything sees them.
pub(crate) const OF_NO_NODE: [&str; 3] = ["/months", "/runs", "/query"];

enum Part {
    Text(Markup),
    Sheet(Sheet),
    Chart(Chart),
}

/// A page in the making.
pub(crate) struct Page {
    pub(crate) title: String,
    /// Filters that change what it shows; of the others that are set it says so.
    pub(crate) filters: &'static [&'static str],
    /// Others that it takes from the address, without a field for them.
    also: Vec<&'static str>,
    seen_by: SeenBy,
    parts: Vec<Part>,
}

/// Who may see a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeenBy {
    /// Who sees everything; and where the filter by node applies, who sees that node.
    Filter,
    /// Everybody: it is of no node, or the one who makes it has looked who asks.
    Everybody,
    /// Not the one who asks.
    Others,
}

impl Page {
    /// A page that these filters apply to.
    pub(crate) fn new(title: impl Into<String>, filters: &'static [&'static str]) -> Self {
        Self { title: title.into(), filters, also: Vec::new(), seen_by: SeenBy::Filter, parts: Vec::new() }
    }

    /// Says that everybody may see it, also who is limited to nodes.
    pub(crate) fn for_everybody(mut self) -> Self {
        self.seen_by = SeenBy::Everybody;
        self
    }

    /// In place of a page that is not for the one who asks.
    pub(crate) fn of_others() -> Self {
        Self { seen_by: SeenBy::Others, ..Self::new("", &[]) }
    }

    /// True where it is not for the one who asks: a page that nobody thought of is not, for who is limited to nodes.
    pub(crate) fn is_kept_from(&self, access: &Access) -> bool {
        match self.seen_by {
            SeenBy::Everybody => false,
            SeenBy::Filter => access.is_limited() && !self.filters.contains(&"node"),
            SeenBy::Others => true,
        }
    }

    /// Says that it takes one more from the address.
    pub(crate) fn takes(mut self, name: &'static str) -> Self {
        self.also.push(name);
        self
    }

    /// Names the filters that are set and do not apply.
    pub(crate) fn not_applied(&self, filter: &Filter) -> Markup {
        let ignored = filter.ignored(&[self.filters, &self.also].concat());
        html! { @if !ignored.is_empty() { p.note { "Not applied here: " (ignored.join(", ")) "." } } }
    }

    /// Adds text.
    pub(crate) fn text(mut self, text: Markup) -> Self {
        self.parts.push(Part::Text(text));
        self
    }

    /// Adds a table.
    pub(crate) fn sheet(mut self, sheet: Sheet) -> Self {
        self.parts.push(Part::Sheet(sheet));
        self
    }

    /// Adds a picture; the table that it is of follows it.
    pub(crate) fn chart(mut self, chart: Chart) -> Self {
        self.parts.push(Part::Chart(chart));
        self
    }

    pub(crate) fn has_charts(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Chart(_)))
    }

    /// What stands on it; `place` as [`Sheet::html`] takes it.
    pub(crate) fn body(&self, place: Option<(&str, &Filter)>) -> Result<Markup, Failure> {
        let part = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Sheet(sheet) => sheet.html(place),
            Part::Chart(chart) => Ok(chart.html()),
        };
        let is_chart = |part: &Part| matches!(part, Part::Chart(_));
        // Pictures that follow each other stand side by side where there is room.
        let groups = self.parts.chunk_by(|left, right| is_chart(left) && is_chart(right));
        let groups = groups.map(|group| group.iter().map(part).collect::<Result<Vec<_>, Failure>>());
        let groups = groups.collect::<Result<Vec<_>, Failure>>()?;
        Ok(html! {
            @for group in groups {
                @if let [only] = group.as_slice() { (only) } @else { div.charts { @for part in group { (part) } } }
            }
        })
    }

    /// Its tables.
    pub(crate) fn sheets(&self) -> impl Iterator<Item = &Sheet> {
        self.parts.iter().filter_map(|part| match part {
            Part::Sheet(sheet) => Some(sheet),
            _ => None,
        })
    }

    /// # Errors
    /// [`Kind::Usage`] for a column that none of its tables has.
    pub(crate) fn sort(&mut self, filter: &Filter) -> Result<(), Failure> {
        if let Some(sort) = &filter.sort
            && !self.sheets().any(|sheet| sheet.has(sort))
        {
            return Err(Failure::new(Kind::Usage, format!("sort: no table of this page has a column {sort:?}")));
        }
        for part in &mut self.parts {
            if let Part::Sheet(sheet) = part {
                sheet.sort(filter)?;
            }
        }
        Ok(())
    }

    pub(crate) fn file(&self, table: Option<&str>, kind: &str) -> Result<Response, Failure> {
        let found = self.sheets().find(|sheet| table.is_none_or(|table| table == sheet.name));
        let sheet = found.ok_or_else(|| {
            let known: Vec<&str> = self.sheets().map(|sheet| sheet.name).collect();
            Failure::new(Kind::Usage, format!("table: this page has {}", known.join(", ")))
        })?;
        let (content, bytes) = match kind {
            "csv" => ("text/csv; charset=utf-8", sheet.csv()?),
            "xlsx" => ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", sheet.workbook()?),
            _ => return Err(Failure::new(Kind::Usage, "download: csv or xlsx")),
        };
        let name = format!("attachment; filename=\"{}.{kind}\"", sheet.name);
        Ok(([(CONTENT_TYPE, content.to_owned()), (CONTENT_DISPOSITION, name)], bytes).into_response())
    }
}
