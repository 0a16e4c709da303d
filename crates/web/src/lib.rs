//! The web page, for people who never open a terminal: pages and forms over one lake.
//!
//! It reads published tables and logs through the same functions that the commands use, and records through them, too; it
//! knows no AWS. [`router`] is all that a server needs: it runs under hyper, and under anything else that takes a tower service.
//!
//! Every page takes its filters from the address, so that a link shows what its sender saw, and every table that it shows can be
//! downloaded as CSV and XLSX from the same address. Pages work without JavaScript; the script adds keys, suggestions and
//! pictures.

mod answer;
mod asked;
mod assets;
mod chart;
mod error;
mod filter;
mod form;
mod format;
mod frame;
mod guard;
mod identity;
mod layout;
#[cfg(feature = "openid-connect")]
mod openid;
mod page;
mod pages;
mod report;
mod server;
mod sheet;
mod site;

pub use guard::token::LoginToken;
pub use identity::{Begun, Identity, IdentityProvider};
#[cfg(feature = "openid-connect")]
pub use openid::OpenId;
pub use report::{Report, report};
pub use server::router;
pub use site::{Contexts, EndedRun, Entrance, Organisation, Site, SiteSettings, StartedRun};
