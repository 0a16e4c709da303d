//! `query`: SQL over every table and view.

use std::io::Read;
use std::path::Path;

use application::queries;

use crate::app::App;
use crate::cli::Query;
use crate::output::{Shown, print};
use crate::{Failure, Kind, files};

pub(crate) async fn query(app: &App, arguments: &Query) -> Result<(), Failure> {
    let sql = match (&arguments.file, arguments.sql.as_deref()) {
        (Some(file), _) if *file != Path::new("-") => files::read_text(file)?,
        (None, Some(sql)) if sql != "-" => sql.to_owned(),
        _ => read_stdin()?,
    };
    let batches = queries::query(&app.context, &sql).await?;
    print(app, &batches, Shown::Exact, "(no rows)")
}

fn read_stdin() -> Result<String, Failure> {
    let mut sql = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut sql);
    read.map_err(|error| Failure::new(Kind::BadInput, format!("query: standard input: {error}")))?;
    Ok(sql)
}
