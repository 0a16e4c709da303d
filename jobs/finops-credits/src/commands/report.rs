//! `report`: the pages as one file.

use std::path::Path;
use std::sync::Arc;

use application::Context;
use async_trait::async_trait;
use chrono::NaiveDateTime;
use serde::Serialize;
use web::{Contexts, Entrance, LoginToken, Site, SiteSettings};

use crate::app::App;
use crate::cli::Report;
use crate::output::answer;
use crate::{Failure, Kind, files};

/// All pages answer from what the command found.
struct ThisCommand(Context);

#[async_trait]
impl Contexts for ThisCommand {
    async fn open(&self) -> Result<Context, Failure> {
        Ok(self.0.clone())
    }

    fn now(&self) -> NaiveDateTime {
        self.0.now
    }
}

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
}

pub(crate) async fn report(app: &App, arguments: &Report) -> Result<(), Failure> {
    let file = arguments.out.as_path();
    let suffix = file.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
    let is_workbook = match suffix.as_deref() {
        Some("html") => false,
        Some("xlsx") => true,
        _ => {
            let message =
                format!("report: {} is no kind of report; name one that ends in .html or .xlsx", file.display());
            return Err(Failure::new(Kind::Usage, message));
        }
    };
    let node = arguments.node.as_ref().map(ToString::to_string);
    let filters = [("period", &arguments.period), ("node", &node), ("currency", &arguments.currency)];
    let filters: Vec<(&str, &str)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let (token, _) = LoginToken::random().map_err(|error| Failure::new(Kind::Storage, error.to_string()))?;
    let settings = SiteSettings { hosts: Vec::new(), is_secure: false, read_only: true };
    let entrance = Entrance::Token { token, person: String::new() };
    let site = Arc::new(Site::new(Arc::new(ThisCommand(app.context.clone())), settings, entrance));
    let report = web::report(&site, &filters).await?;
    let bytes = if is_workbook { report.workbook()? } else { report.html()?.into_bytes() };
    files::write(file, &bytes)?;
    answer(app.format, &Written { file }, [format!("Report written to {}", file.display())])
}
