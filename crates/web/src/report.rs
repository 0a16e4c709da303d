//! The pages of a period as one file: HTML for a mail, or a workbook.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use application::{Failure, Kind};
use form_urlencoded::Serializer;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use regex::Regex;
use table_files::{TableFileError, WorkbookFile};

use crate::asked::{Asked, NotAnswered};
use crate::assets::{Asset, ECHARTS, SCRIPT, STYLE};
use crate::filter::Filter;
use crate::guard::access::Access;
use crate::guard::session::Session;
use crate::layout::Head;
use crate::page::Page;
use crate::pages::{credits, expiry, net_cost, overview, queue};
use crate::site::Site;

/// The pages of a report.
pub struct Report {
    head: Head,
    what: String,
    filter: Filter,
    pages: Vec<Page>,
}

/// Makes the pages of a report: overview, queue, credits, expiry and net cost, of these periods, this node and this currency
/// as an address states them (`period=2026-Q3`).
///
/// # Errors
/// [`Kind::Usage`] for a filter that cannot be read; [`Kind::NotYet`] before the first run.
pub async fn report(site: &Arc<Site>, filters: &[(&str, &str)]) -> Result<Report, Failure> {
    let query = Serializer::new(String::new()).extend_pairs(filters).finish();
    let session = Session::begin(site, String::new(), Vec::new());
    let session = session.map_err(|error| Failure::new(Kind::Storage, error.to_string()))?;
    let asked = Asked::open(site, (session, Access::EVERYTHING), "/", &query).await;
    let asked = asked.map_err(|not_answered| match not_answered {
        NotAnswered::Failed(failure) => failure,
        NotAnswered::NotTheirs => Failure::new(Kind::Usage, "a report is of everything that its reader sees"),
    })?;
    asked.run()?;
    let pages = vec![
        overview::build(&asked).await?,
        queue::build(&asked).await?,
        credits::build(&asked).await?,
        expiry::build(&asked).await?,
        net_cost::build(&asked).await?,
    ];
    let what = filters.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    Ok(Report { head: Head::read(&asked).await?, what, pages, filter: asked.filter })
}

impl Report {
    /// One self-contained file: it loads nothing, and leads nowhere.
    ///
    /// # Errors
    /// [`Failure`] for a value that cannot be shown.
    pub fn html(&self) -> Result<String, Failure> {
        let text = |asset: &Asset| PreEscaped(String::from_utf8_lossy(asset.bytes).into_owned());
        let has_charts = self.pages.iter().any(Page::has_charts);
        let pages = self.pages.iter().map(|page| self.section(page)).collect::<Result<Vec<_>, Failure>>()?;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "Credits and net cost · finops-credits" }
                    style { (text(&STYLE)) }
                }
                body {
                    main {
                        h1 { "Credits and net cost" @if !self.what.is_empty() { ", " (self.what) } }
                        (without_links(&self.head.freshness))
                        @for page in pages { (page) }
                    }
                    @if has_charts {
                        script { (text(&ECHARTS)) }
                        script { (text(&SCRIPT)) }
                    }
                }
            }
        };
        Ok(page.into_string())
    }

    fn section(&self, page: &Page) -> Result<Markup, Failure> {
        let body = without_links(&page.body(None)?);
        Ok(html! { section { h1 { (page.title) } (page.not_applied(&self.filter)) (body) } })
    }

    /// A workbook with a sheet for each table.
    ///
    /// # Errors
    /// [`Failure`] for more rows than a sheet holds.
    pub fn workbook(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error: TableFileError| Failure::new((&error).into(), error.to_string());
        let mut book = WorkbookFile::begin().map_err(failed)?;
        let mut written = BTreeSet::new();
        // Two pages may show one table.
        for sheet in self.pages.iter().flat_map(Page::sheets).filter(|sheet| written.insert(sheet.name)) {
            sheet.write(&mut book)?;
        }
        let mut bytes = Cursor::new(Vec::new());
        book.finish(&mut bytes).map_err(failed)?;
        Ok(bytes.into_inner())
    }
}

/// Links of a page lead to a server that a mail does not have. Attributes stand in double quotes, as the templates write them.
fn without_links(markup: &Markup) -> Markup {
    static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#" href="[^"]*""#).ok());
    match &*LINK {
        Some(link) => PreEscaped(link.replace_all(&markup.0, "").into_owned()),
        None => markup.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_and_what_they_say_stays() {
        let markup = html! { a.tile href="/net-cost?node=R%22" { "a href=\"x\"" } };
        assert_eq!(without_links(&markup).0, r#"<a class="tile">a href=&quot;x&quot;</a>"#);
    }
}
